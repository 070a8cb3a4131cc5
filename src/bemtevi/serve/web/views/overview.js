// @ts-check
// What is going on, and is the machine listening?
import { html, t, number, percent, when, networkName, useAnswer, useEffect, duration } from '../lib/core.js';
import { Card, Link, Table, Tile } from '../lib/parts.js';
import { Spark } from '../charts/small.js';

export function Overview({ status }) {
  const tags = useAnswer('/api/v1/hashtags?followed=true&last=24h&sparkline=true', 10000);
  const top = useAnswer('/api/v1/hashtags?last=7d&limit=10&sparkline=true', 30000), rising = useAnswer('/api/v1/rising?last=24h', 30000);
  useEffect(() => { document.title = `${t('overview')} · bemtevi`; }, []);
  const now = status.data, network = now?.networks ?? [];
  const nothing = now && now.followed.length === 0;
  const age = now?.received_at ? (Date.now() - Date.parse(now.received_at)) / 1000 : null;
  const rows = (list, hours) => list.map((row) => [html`<${Link} href=${`/t/${encodeURIComponent(row.hashtag)}`}>#${row.spelling || row.hashtag}<//>`, html`<${Spark} values=${row.hours} hours=${hours} missing=${row.missing ?? []} />`, number(row.posts), number(row.authors), row.listened === undefined ? '' : percent(row.listened)]);
  return html`<div class="top"><h1 tabindex="-1">${t('overview')}</h1></div>
    ${nothing && html`<div class="note"><strong>${t('nothing_followed')}</strong><pre>bemtevi track "#vacina"
bemtevi run</pre>${t('or_demo')} <code>bemtevi demo</code></div>`}
    ${network.filter((one) => one.deaf_since).map((one) => html`<div class="note bad"><strong>${t('deaf', { network: networkName(one.network), since: when(one.deaf_since) })}</strong> <${Link} href="/gaps">${t('see_gaps')}<//></div>`)}
    <div class="tiles">
      <${Tile} label=${t('now')} value=${now ? `${number(now.per_minute)} /min` : '…'} under=${t('five_minutes')} />
      <${Tile} label=${t('today')} value=${now ? number(now.today) : '…'} under=${t('collected_posts')} />
      <${Tile} label=${t('listened_today')} value=${network.length ? percent(network[0].listened_today) : '–'} under=${network.map((one) => networkName(one.network)).join(', ')} />
      <${Tile} label=${t('freshness')} value=${age == null ? '–' : duration(age)} under=${t('since_last')} />
      <${Tile} label=${t('all_posts')} value=${now ? number(now.posts) : '…'} under=${now?.run ? `${t('run')} ${now.run.number} · ${when(now.run.finished_at)}` : t('no_run')} />
    </div>
    <div class="grid">
    ${!nothing && html`<${Card} title=${t('followed', { n: tags.data?.length ?? 0 })} sub=${t('last_24')} answer=${tags} path="/api/v1/hashtags?followed=true&last=24h" empty=${t('nothing_followed')}>
      <${Table} caption=${t('followed', { n: tags.data?.length ?? 0 })} heads=${['hashtag', t('p24h'), '>' + t('posts'), '>' + t('authors'), '>' + t('listened')]} rows=${rows(tags.data ?? [], tags.meta?.hours ?? [])} /><//>`}
    <${Card} title=${t('most')} sub=${t('p7d')} span=8 answer=${top} path="/api/v1/hashtags?last=7d"><${Table} caption=${t('most')} heads=${['hashtag', t('p7d'), '>' + t('posts'), '>' + t('authors')]} rows=${rows(top.data ?? [], top.meta?.hours ?? []).map((row) => row.slice(0, 4))} /><//>
    <${Card} title=${t('rising')} sub=${t('rising_sub')} span=4 answer=${rising} path="/api/v1/rising?last=24h" empty=${t('nothing_rises')}><${Table} caption=${t('rising')} heads=${['hashtag', '>×', '>' + t('posts')]} rows=${(rising.data ?? []).map((row) => [html`<${Link} href=${`/t/${encodeURIComponent(row.hashtag)}`}>#${row.hashtag}<//>`, row.new ? t('new') : `${number(row.lift)} (${number(row.lift_low)}–${number(row.lift_high)})`, number(row.posts)])} /><//>
    </div>`;
}
