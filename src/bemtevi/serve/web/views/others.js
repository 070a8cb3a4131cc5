// @ts-check
// Compare, search, gaps, runs, SQL, about.
import { html, t, known, number, percent, when, networkName, useAnswer, useEffect, useState, filters, address, go, get, duration, useMemo, clock } from '../lib/core.js';
import { Card, Heard, Link, Networks, Periods, Posts, Table } from '../lib/parts.js';
import { Timeline } from '../charts/timeline.js';
import { Lanes } from '../charts/small.js';

const names = (status) => (status.data?.networks ?? []).map((one) => one.network);
const titled = (name) => useEffect(() => { document.title = `${t(name)} · bemtevi`; }, []);
const Head = ({ name, period = true, networks = null }) => html`<div class="top"><h1 tabindex="-1">${t(name)}</h1>${period && html`<div class="controls"><${Periods} />${networks && html`<${Networks} networks=${networks} />`}</div>`}</div>`;

export function Compare({ status }) {
  titled('compare');
  const chosen = (new URLSearchParams(location.search).get('tags') ?? '').split(',').filter(Boolean).slice(0, 5);
  const path = chosen.length ? `/api/v1/compare?${filters()}&${chosen.map((tag) => 'tag=' + encodeURIComponent(tag)).join('&')}` : '';
  const answer = useAnswer(path);
  const set = (tags) => go(address({ tags: tags.join(',') }));
  const add = (event) => { event.preventDefault(); const value = event.target.elements.tag.value.replace(/^#/, '').trim(); if (value) set([...chosen, value]); event.target.reset(); };
  const series = useMemo(() => (answer.data?.hashtags ?? []).map((row) => ({ name: '#' + row.hashtag, values: row.posts_by_step })), [answer.data]);
  return html`<${Head} name="compare" networks=${names(status)} /><p>${chosen.map((tag) => html`<button class="chip" onClick=${() => set(chosen.filter((one) => one !== tag))} aria-label=${t('remove', { tag })}>#${tag} ✕</button> `)}</p>
    <form onSubmit=${add}><label>${t('add_hashtag')} <input name="tag" /></label> <button>+</button></form><br />
    ${path && html`<${Heard} meta=${answer.meta} /><${Card} title=${t('timeline')} answer=${answer}>${answer.data && html`<${Timeline} at=${answer.data.at} series=${series} missing=${answer.meta.completeness.missing} partial=${answer.data.partial} granularity=${answer.data.granularity} />`}<//>
    <${Card} title=${t('key_numbers')} answer=${answer}><${Table} caption=${t('key_numbers')} heads=${['hashtag', '>' + t('posts'), '>' + t('authors'), '>' + t('originals'), '>' + t('reposts'), '>' + t('listened')]} rows=${(answer.data?.hashtags ?? []).map((row) => [html`<${Link} href=${'/t/' + encodeURIComponent(row.hashtag)}>#${row.hashtag}<//>`, number(row.posts), number(row.authors), number(row.originals), number(row.reposts), percent(row.listened)])} /><//>
    ${answer.data?.common.length > 0 && html`<${Card} title=${t('common')} answer=${answer}><${Table} caption=${t('common')} heads=${['hashtag', 'hashtag', '>' + t('authors')]} rows=${answer.data.common.map((row) => ['#' + row.one, '#' + row.other, number(row.authors)])} /><//>`}`}`;
}
export function Search({ full, status }) {
  titled('search');
  const query = new URLSearchParams(location.search), own = { q: query.get('q'), tag: query.get('tag'), after: query.get('after'), sample: query.get('sample') };
  const path = `/api/v1/posts?${filters({ ...own, limit: 30 })}`, answer = useAnswer(path);
  const ask = (event) => { event.preventDefault(); const part = event.target.elements; go(address({ q: part.q?.value, tag: part.tag.value.replace(/^#/, ''), after: null, sample: null })); };
  return html`<${Head} name="search" networks=${names(status)} /><form class="controls" onSubmit=${ask}>${full && html`<label>${t('words')} <input name="q" defaultValue=${own.q ?? ''} /></label>`}<label>hashtag <input name="tag" defaultValue=${own.tag ?? ''} /></label><button>${t('search')}</button><button type="button" onClick=${() => go(address({ sample: Math.floor(Math.random() * 1e6), after: null }))}>${t('sample')}</button></form><br />
    <${Heard} meta=${answer.meta} /><${Card} title=${answer.meta?.posts != null ? t('found', { n: answer.meta.posts, number: number(answer.meta.posts) }) : t('posts')} answer=${answer} path=${path}>
      <${Posts} full=${full} rows=${(answer.data ?? []).map((row) => ({ ...row, when: when(row.created_at) }))} />${answer.meta?.next && html`<p><${Link} href=${address({ after: answer.meta.next })}>${t('older')} →<//></p>`}<//>`;
}
export function Gaps({ status }) {
  titled('gaps');
  const path = `/api/v1/gaps?${filters()}`, answer = useAnswer(path, 15000), heard = answer.meta?.completeness, rows = answer.data?.rows ?? [];
  return html`<${Head} name="gaps" networks=${names(status)} />${heard && html`<p><strong>${t('listened')}: ${percent(heard.share)}</strong> ${Object.entries(heard.by_network).map(([name, share]) => html` · ${networkName(name)} ${percent(share)}`)}</p>`}
    <${Card} title=${t('when_listened')} sub=${t('lanes_sub')} answer=${answer}>${answer.data?.lanes.length ? answer.data.lanes.map((lane) => html`<div>${networkName(lane.network)}<${Lanes} lanes=${[lane]} since=${answer.meta.since} until=${answer.meta.until} /></div>`) : html`<p class="empty">${t('not_followed')}</p>`}<//>
    <${Card} title=${t('gaps')} answer=${answer} path=${path}>${rows.length ? html`<${Table} caption=${t('gaps')} heads=${[t('from'), t('to'), '>' + t('length'), t('network'), t('why'), t('state'), t('filled_by'), t('cannot')]} rows=${rows.map((gap) => [when(gap.started_at), gap.ended_at ? when(gap.ended_at) : t('lasts'), duration(((gap.ended_at ? Date.parse(gap.ended_at) : Date.now()) - Date.parse(gap.started_at)) / 1000), networkName(gap.network), t('cause ' + gap.cause), t('state ' + gap.state), gap.filled_by, gap.missing_kinds.map((kind) => known('kind', kind)).join(', ') || null])} />` : html`<p class="empty">${t('no_gaps')}</p>`}<//>`;
}
export function Runs() {
  titled('runs');
  const answer = useAnswer('/api/v1/runs', 15000), bad = useAnswer('/api/v1/quarantine');
  return html`<${Head} name="runs" period=${false} /><${Card} title=${t('runs')} answer=${answer} path="/api/v1/runs" empty=${t('no_run')}><${Table} caption=${t('runs')} heads=${['>nº', t('finished'), '>' + t('took'), '>' + t('messages'), '>' + t('new_posts'), '>' + t('quarantined')]} rows=${(answer.data ?? []).map((run) => [run.number, when(run.finished_at), duration((Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000), number(run.messages), number(run.new_posts), number(run.quarantined)])} /><//>
    <${Card} title=${t('quarantine')} sub=${t('quarantine_sub')} answer=${bad} path="/api/v1/quarantine" empty=${t('nothing_quarantined')}><${Table} caption=${t('quarantine')} heads=${[t('why'), 'dialect', '>' + t('messages')]} rows=${(bad.data ?? []).map((row) => [row.reason, row.dialect, number(row.messages)])} /><//>`;
}
export function Sql() {
  titled('sql');
  const catalog = useAnswer('/api/v1/catalog');
  const [text, write] = useState(decodeURIComponent((location.hash.match(/q=(.*)/) ?? [])[1] ?? '') || sessionStorage.getItem('sql') || 'select hashtag, sum(posts) as posts\nfrom agg_hashtag_hour\ngroup by hashtag\norder by posts desc\nlimit 20');
  const [answer, set] = useState(/** @type any */(null));
  const body = (format) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ sql: text, format, limit: format === 'json' ? 1000 : 1000000 }) });
  const run = () => { sessionStorage.setItem('sql', text); history.replaceState(null, '', '/sql#q=' + encodeURIComponent(text)); set({ busy: true }); get('/api/v1/sql', body('json')).then(set, (error) => set({ error: error.message })); };
  const save = async (format) => { const got = await fetch('/api/v1/sql', body(format)); const link = document.createElement('a'); link.href = URL.createObjectURL(await got.blob()); link.download = `answer.${format}`; link.click(); };
  const key = (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } };
  const names = answer?.meta?.columns.map((one) => one.column) ?? [], numeric = names.filter((name) => answer.data.length && typeof answer.data[0][name] === 'number'), time = names.find((name) => answer.data.length && typeof answer.data[0][name] === 'string' && /^\d{4}-\d\d-\d\d/.test(answer.data[0][name]));
  const [chart, draw] = useState(false);
  const series = useMemo(() => numeric.slice(0, 5).map((name) => ({ name, values: answer.data.map((row) => row[name]) })), [answer]);
  const show = (value) => value == null ? '–' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  return html`<${Head} name="sql" period=${false} /><div class="grid"><section class="card c4"><h2>${t('tables')}</h2>${(catalog.data ?? []).map((table) => html`<details><summary>${table.table}</summary><p class="sub">${table.grain}</p><button class="link" onClick=${() => write(table.example)}>${t('example')}</button>${table.columns.map((one) => html`<div class="sub"><code>${one.column}</code> ${one.type.slice(0, 40)}<br />${one.description}</div>`)}</details>`)}</section>
    <section class="card c8"><label class="sub" for="statement">${t('one_select')}</label><textarea id="statement" class="code" spellcheck=${false} value=${text} onInput=${(event) => write(event.target.value)} onKeyDown=${key}></textarea>
    <p><button onClick=${run}>${t('run_it')} (Ctrl+Enter)</button> <span class="sub">${t('bounds')}</span></p>
    <div aria-live="polite">${answer?.error && html`<p role="alert">${answer.error}</p>`}${answer?.busy && '…'}${answer?.meta && html`<p>✓ ${duration(answer.meta.seconds)} · ${answer.meta.more ? t('first_of_more', { number: number(answer.data.length) }) : t('rows', { n: answer.data.length, number: number(answer.data.length) })} · ${['csv', 'jsonl', 'parquet'].map((format) => html`<button class="link" onClick=${() => save(format)}>${format}</button> `)}${time && numeric.length > 0 && html`<button class="link" aria-pressed=${chart} onClick=${() => draw(!chart)}>${chart ? t('table') : t('chart')}</button>`}</p>`}</div>
    ${answer?.meta && (chart && time ? html`<${Timeline} at=${answer.data.map((row) => row[time])} series=${series} />` : html`<${Table} caption=${t('answer')} heads=${names.map((name) => (numeric.includes(name) ? '>' : '') + name)} rows=${answer.data.map((row) => names.map((name) => show(row[name])))} />`)}</section></div>`;
}
export function About({ status }) {
  titled('about');
  const [given, set] = useState('');
  const open = async (event) => { event.preventDefault(); try { await fetch('/api/v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token: event.target.elements.token.value }) }).then((got) => got.ok ? location.reload() : set(t('wrong_token'))); } catch { set(t('no_server')); } };
  const used = useAnswer('');
  return html`<${Head} name="about" period=${false} /><section class="card"><h2>${t('numbers')}</h2>${['posts', 'completeness', 'audience', 'rising', 'week', 'together'].map((name) => html`<p><strong>${t('about_' + name + '_name')}</strong> ${t('about_' + name)}</p>`)}</section>
    ${status.data?.token_needed && !status.data.full && html`<section class="card"><h2>${t('token')}</h2><p>${t('needs_token')}</p><form onSubmit=${open}><label>${t('token')} <input name="token" type="password" autocomplete="current-password" /></label> <button>${t('open')}</button> <span role="alert">${given}</span></form></section>`}
    <section class="card" id="keys"><h2>${t('keys')}</h2><${Table} caption=${t('keys')} heads=${[t('key'), t('does')]} rows=${['/', '1 2 3', 'C', 'T', 'X', '← →', 'Shift ← →', 'Enter', 'Esc', '?'].map((key) => [html`<kbd>${key}</kbd>`, t('key ' + key)])} /></section>
    <section class="card"><h2>${t('made_with')}</h2><p>Preact (MIT), htm (Apache-2.0), uPlot (MIT). <a href="/api/v1/openapi.json">OpenAPI</a> · bemtevi ${status.data?.version}</p></section>`;
}
