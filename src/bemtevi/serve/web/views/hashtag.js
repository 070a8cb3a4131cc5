// @ts-check
// One hashtag: how much, when, who, about what, and can I trust it?
import { html, t, number, percent, range, languageName, networkName, when, hourName, useAnswer, useEffect, filters, address, go, useMemo, useState, zoneName } from '../lib/core.js';
import { Bars, Card, Exports, Heard, Link, Networks, Periods, Posts, Table, Tile } from '../lib/parts.js';
import { Timeline, timelineTable } from '../charts/timeline.js';
import { Navigator } from '../charts/navigator.js';
import { useLive, useSlowly } from '../lib/live.js';
import { Heat, Network, weekdays } from '../charts/small.js';

const HOUR = 36e5;
const DAY = 24 * HOUR;

export function Hashtag({ tag, full, status }) {
  const networks = (status.data?.networks ?? []).map((one) => one.network);
  const base = `/api/v1/hashtags/${encodeURIComponent(tag)}`, query = new URLSearchParams(location.search);
  const step = query.get('g'), live = useLive(tag), [shown, show] = useState(/** @type any[] */([])), aloud = useSlowly(live.count, 15000);
  const path = (name, extra = {}) => `${base}/${name}?${filters(extra)}`;
  const summary = useAnswer(path('summary'), 15000, live.pulse), line = useAnswer(path('timeline', { g: step }), 15000, live.pulse);
  const lists = {};
  for (const name of ['authors', 'domains', 'languages', 'types', 'apps']) lists[name] = useAnswer(path(name, { limit: 8 }));
  const heat = useAnswer(path('heatmap')), pairs = useAnswer(path('cooccurrence')), best = useAnswer(path('top-posts', { limit: 5 }));
  const fresh = useAnswer(path('newcomers')), same = useAnswer(path('duplicates', { limit: 5 }));
  const posts = useAnswer(`/api/v1/posts?${filters({ tag, limit: 10 })}`);
  const ids = new Set(shown.map((post) => post.post_id)), newest = [...shown, ...(posts.data ?? []).filter((post) => !ids.has(post.post_id))];
  const told = summary.data, meta = line.meta ?? summary.meta;
  // all that is known, by steps of which there are some hundreds; its beginning stays, so that the question does too
  const since = told?.known && Date.parse(told.known.since), span = since ? Date.now() - since : 0;
  const strip = since && meta && span > 1.3 * (Date.parse(meta.until) - Date.parse(meta.since)) ? `${base}/timeline?${new URLSearchParams({ from: new Date(Math.floor(since / HOUR) * HOUR).toISOString(), g: span < 12 * DAY ? 'hour' : span < 900 * DAY ? 'day' : 'week', ...(query.get('net') ? { net: query.get('net') } : {}) })}` : '';
  const history = useAnswer(strip, strip ? 60000 : 0);
  useEffect(() => { document.title = `#${tag} · bemtevi`; show([]); }, [tag]);
  const series = useMemo(() => Object.entries(line.data?.series ?? {}).map(([name, values]) => ({ name: networkName(name), values })), [line.data]);
  const least = (meta?.completeness?.missing_seconds ?? 0) > 0 ? '≥ ' : '';
  const change = (now, before) => !now && !before ? '' : !told?.before?.comparable ? t('not_comparable') : before === 0 ? t('new') : `${now >= before ? '▲' : '▼'} ${percent(Math.abs(now - before) / before)} ${t('vs_before')}`;
  const audience = told?.audience?.[0];
  const heard = meta?.completeness, deaf = heard?.tracked_seconds > 0 && heard.listened_seconds + heard.filled_seconds < 1;
  const nothing = told?.posts !== 0 ? '' : deaf ? html`${t('deaf_period')} <${Link} href=${'/gaps?' + filters()}>${t('see_gaps')}<//>` : query.get('type') || query.get('lang') || query.get('net') ? html`${t('filtered_out')} <${Link} href=${address({ type: null, lang: null, net: null })}>${t('without_filters')}<//>` : t('nothing_in_period');
  const list = (name, title, sub, label, href = null, empty = '') => html`<${Card} empty=${nothing || empty} title=${title} sub=${sub} span=4 answer=${lists[name]} path=${path(name)} table=${lists[name].data && html`<${Table} caption=${title} heads=${[title, '>' + t('posts')]} rows=${lists[name].data.map((row) => [label(row), number(row.posts)])} />`}>
    <${Bars} rows=${lists[name].data ?? []} label=${label} value=${(row) => row.posts} href=${href} /><//>`;
  const steps = html`<div class="segment" role="group" aria-label=${t('step')}>${['minute', 'hour', 'day', 'week'].map((one) => html`<button aria-pressed=${(step ?? line.data?.granularity) === one} onClick=${() => go(address({ g: one }))}>${t(one)}</button>`)}</div>`;
  return html`<div class="top"><h1 tabindex="-1">#${tag}</h1><${Link} class="chip" href=${`/compare?${new URLSearchParams({ tags: tag })}`}>+ ${t('compare')}<//>
      <div class="controls"><${Periods} /><${Networks} networks=${networks} /><${Exports} files=${[['CSV', path('timeline', { g: step, format: 'csv' })], ['JSON Lines', path('timeline', { g: step, format: 'jsonl' })], ['Parquet', path('timeline', { g: step, format: 'parquet' })], ['Arrow', path('timeline', { g: step, format: 'arrow' })], [`${t('posts')} CSV`, `/api/v1/posts?${filters({ tag, limit: 10000, format: 'csv' })}`], ['GEXF', path('cooccurrence', { format: 'gexf' })]]} /></div></div>
    <${Heard} meta=${meta} />
    ${(query.get('type') || query.get('lang') || query.get('net')) && html`<p>${query.get('net') && html`<${Link} class="chip" href=${address({ net: null })}>${networkName(query.get('net'))} ✕<//>`} ${query.get('type') && html`<${Link} class="chip" href=${address({ type: null })}>${t(query.get('type'))} ✕<//>`} ${query.get('lang') && html`<${Link} class="chip" href=${address({ lang: null })}>${languageName(query.get('lang'))} ✕<//>`}</p>`}
    <div class="tiles">
      <${Tile} label=${t('posts')} value=${told ? least + number(told.posts) : '…'} under=${told && change(told.posts, told.before.posts)} />
      <${Tile} label=${t('authors')} value=${told ? least + number(told.authors) : '…'} under=${told && change(told.authors, told.before.authors)} />
      <${Tile} label=${t('now')} value=${told ? `${number(told.per_minute)} /min` : '…'} under=${told?.usual_per_minute != null ? t('usual', { rate: number(told.usual_per_minute) }) : told?.last_at && `${t('last_post')} ${Date.now() - Date.parse(told.last_at) < DAY ? hourName(told.last_at) : when(told.last_at)}`} />
      <${Tile} label=${t('originals')} value=${told ? percent(told.posts ? told.originals / told.posts : null) : '…'} under=${told && told.posts > 0 && `${t('reposts')} ${percent(told.reposts / told.posts)}`} />
      <${Tile} label=${audience ? t('audience', { network: networkName(audience.network) }) : t('audience_of_none')} value=${audience ? range(audience.least, audience.most) : '–'} under=${t('not_views')} />
    </div>
    <div class="grid">
    <${Card} title=${t('posts_per', { step: t(line.data?.granularity ?? 'hour') })} sub=${t('drag', { zone: zoneName() })} tools=${steps} answer=${line} path=${path('timeline', { g: step })} table=${line.data && timelineTable(line.data)}>
      ${line.data && (series.length ? html`<${Timeline} at=${line.data.at} series=${series} missing=${line.meta.completeness.missing} partial=${line.data.partial} granularity=${line.data.granularity} />${strip && history.data?.at.length > 2 && html`<${Navigator} at=${history.data.at} series=${history.data.series} missing=${history.meta.completeness.missing} since=${meta.since} until=${meta.until} />`}` : html`<p class="empty">${nothing || t('nothing_in_period')}</p>`)}<//>
    ${list('authors', t('top_authors'), t('by_posts'), (row) => row.username ? '@' + row.username : row.author_id)}
    ${list('domains', t('top_domains'), t('links_in_posts'), (row) => row.domain, null, t('no_links'))}
    ${list('languages', t('languages'), t('x_detects'), (row) => languageName(row.language), (row) => address({ lang: row.language ?? 'und' }))}
    <${Card} title=${t('hours_of_week')} sub=${t('week_sub')} span=6 answer=${heat} path=${path('heatmap')} table=${heat.data && html`<${Table} caption=${t('hours_of_week')} heads=${[t('day'), ...[...Array(24).keys()].map((hour) => '>' + hour)]} rows=${weekdays().map((name, day) => [name, ...heat.data.slice(day * 24, day * 24 + 24).map((cell) => cell.mean == null ? '×' : number(cell.mean))])} />`}>
      ${heat.data && html`<${Heat} cells=${heat.data} />`}<//>
    <${Card} title=${t('together')} sub=${t('together_sub', { tag, n: number(pairs.meta?.posts ?? 0), method: t('method ' + (pairs.data?.method ?? '').split(',')[0]) })} span=6 answer=${pairs} path=${path('cooccurrence')} table=${pairs.data && html`<${Table} caption=${t('together')} heads=${['hashtag', 'hashtag', '>' + t('posts'), '>NPMI', '>G²']} rows=${pairs.data.rows.map((row) => ['#' + row.one, '#' + row.other, number(row.together), number(row.npmi), number(row.g2)])} />`}>
      ${pairs.data && (pairs.data.nodes.length ? html`<${Network} nodes=${pairs.data.nodes} edges=${pairs.data.edges} /><a href=${path('cooccurrence') + '&format=gexf'} download>GEXF</a>` : html`<p class="empty">${nothing || t('no_company')}</p>`)}<//>
    ${list('types', t('types'), '', (row) => t(row.type), (row) => address({ type: row.type }))}
    ${list('apps', t('apps'), t('apps_sub'), (row) => row.client ?? t('unknown'))}
    <${Card} title=${t('newcomers')} sub=${t('newcomers_sub')} span=4 empty=${nothing} answer=${fresh} path=${path('newcomers')}>
      <${Table} caption=${t('newcomers')} heads=${[t('time'), '>' + t('new_authors'), '>' + t('returning')]} rows=${(fresh.data ?? []).slice(-8).map((row) => [when(row.at), number(row.new_authors), number(row.returning_authors)])} /><//>
    <${Card} title=${t('top_posts')} span=6 empty=${nothing} answer=${best} path=${path('top-posts')}><${Posts} full=${full} rows=${(best.data ?? []).map((row) => ({ ...row, when: when(row.created_at) }))} /><//>
    <${Card} title=${t('newest')} span=6 empty=${nothing} answer=${posts} path=${`/api/v1/posts?${filters({ tag })}`}>
      <div class="pill"><p class="hidden" role="status">${aloud > 0 && t('n_new', { n: aloud, number: number(aloud) })}</p>${live.count > 0 && html`<button onClick=${() => { show([...live.waiting, ...shown].slice(0, 60)); live.clear(); }}>↑ ${t('n_new', { n: live.count, number: number(live.count) })}</button>`}</div>
      <${Posts} full=${full} rows=${newest.map((row) => ({ ...row, when: when(row.created_at) }))} /><//>
    <${Card} title=${t('identical')} sub=${t('identical_sub')} empty=${nothing || t('none_identical')} answer=${same} path=${path('duplicates')}><${Table} caption=${t('identical')} heads=${[t('text'), '>' + t('posts'), '>' + t('authors')]} rows=${(same.data ?? []).map((row) => [row.text ?? t('needs_token'), number(row.posts), number(row.authors)])} /><//>
    </div>`;
}
