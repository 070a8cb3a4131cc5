// @ts-check
// Parts of views: cards, key numbers, lists, tables, the sentence about completeness.
import { html, t, number, percent, duration, useState, address, go, filters, inZone, fromZone, networkName } from './core.js';

export function Link({ href, children, ...more }) {
  const click = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(href);
  };
  return html`<a href=${href} onClick=${click} ...${more}>${children}</a>`;
}
/** One question on the page: title, how it is made, table, CSV, SQL, and the states of waiting, error, nothing. */
export function Card({ title, sub = '', answer, path = '', span = 12, children, table = null, empty = '', tools = '' }) {
  const [shown, show] = useState(new URLSearchParams(location.search).get('view') === 'table');
  const sql = answer?.meta?.sql;
  const data = answer?.data;
  const none = Array.isArray(data) && data.length === 0;
  const csv = path && path + (path.includes('?') ? '&' : '?') + 'format=csv&limit=1000';
  return html`<section class="card c${span}" aria-busy=${answer?.busy ? 'true' : 'false'}>
    <div class="head"><h2>${title}</h2><div class="links">${tools}
      ${table && !none && data && html`<button class="link" aria-pressed=${shown} onClick=${() => show(!shown)}>${shown ? t('chart') : t('table')}</button>`}
      ${csv && html`<a href=${csv} download>CSV</a>`}
      ${sql && html`<${Link} href=${'/sql#q=' + encodeURIComponent(sql)}>SQL<//>`}
    </div></div>
    ${sub && html`<p class="sub">${sub}</p>`}
    ${answer?.error ? html`<p role="alert">${answer.error} <button class="link" onClick=${answer.retry}>${t('again')}</button></p>`
      : data == null ? html`<p class="empty">…</p>`
      : none ? html`<p class="empty">${empty || t('nothing_in_period')}</p>`
      : shown && table ? table : children}
  </section>`;
}
export function Tile({ label, value, under = '' }) {
  return html`<div class="tile"><div class="label">${label}</div><div class="value">${value}</div><div class="under">${under}</div></div>`;
}
/** A list whose bars stand behind the words. */
export function Bars({ rows, label, value, href = null }) {
  const most = Math.max(...rows.map(value), 1);
  return html`<ul class="bars">${rows.map((row, index) => html`<li key=${index}>
    <svg aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 100 1"><rect width=${100 * value(row) / most} height="1" fill="var(--tint)" /></svg>
    <span class="name" dir="auto">${href ? html`<${Link} href=${href(row)}>${label(row)}<//>` : label(row)}</span><span>${number(value(row))}</span></li>`)}</ul>`;
}
export function Table({ heads, rows, caption = '' }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption || t('table')}><table>${caption && html`<caption class="hidden">${caption}</caption>`}
    <thead><tr>${heads.map((head) => html`<th scope="col" class=${head.startsWith('>') ? 'n' : ''}>${head.replace('>', '')}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${row.map((cell, index) => html`<td class=${heads[index].startsWith('>') ? 'n' : ''} dir="auto">${cell ?? '–'}</td>`)}</tr>`)}</tbody></table></div>`;
}
/** What was heard of the period, in a sentence. */
export function Heard({ meta }) {
  const heard = meta?.completeness;
  if (!heard) return null;
  const behind = meta.behind ? html`<div class="note"><strong>${t('behind')}</strong></div>` : null;
  if (behind) return html`${behind}<${Heard} meta=${{ ...meta, behind: false }} />`;
  if (heard.share == null) return html`<div class="note"><strong>${t('not_followed')}</strong> ${t('not_followed_more')}</div>`;
  const gaps = heard.gaps.length, filled = heard.gaps.filter((gap) => gap.state.includes('filled') && gap.filled_by);
  if (heard.share >= 0.99995 && heard.tracked_share > 0.99 && !gaps) return html`<div class="note good"><strong>${t('fully')}</strong></div>`;
  return html`<div class="note"><strong>${percent(heard.share)}</strong> ${heard.tracked_share > 0.99 ? t('of_period') : t('of_tracked', { share: percent(heard.tracked_share) })}
    ${' '}${gaps > 0 && t('gaps_sum', { n: gaps, length: duration(heard.missing_seconds) })}
    ${' '}${filled.length > 0 && t('gaps_filled', { n: filled.length })} <${Link} href=${'/gaps?' + filters()}>${t('see_gaps')}<//></div>`;
}
export function Periods() {
  const [open, show] = useState(false);
  const query = new URLSearchParams(location.search), from = query.get('from'), last = from ? '' : query.get('last') || '7d';
  const local = (at) => at ? inZone(at) : '';
  const ask = (event) => { event.preventDefault(); const part = event.target.elements; show(false); go(address({ from: fromZone(part.from.value), to: fromZone(part.to.value), last: null, g: null })); };
  return html`<div class="segment" role="group" aria-label=${t('period')}>${[['24h', t('p24h')], ['7d', t('p7d')], ['30d', t('p30d')]].map(([value, name]) =>
    html`<${Link} href=${address({ last: value, from: null, to: null, g: null })} aria-current=${last === value ? 'true' : null}>${name}<//>`)}
    <button type="button" id="custom" aria-pressed=${from ? 'true' : 'false'} aria-expanded=${open} onClick=${() => show(!open)}>${t('custom')}</button></div>
    ${open && html`<form class="asked" onSubmit=${ask}><label>${t('from')} <input type="datetime-local" name="from" required defaultValue=${local(from)} /></label> <label>${t('to')} <input type="datetime-local" name="to" required defaultValue=${local(query.get('to'))} /></label> <button>${t('show')}</button></form>`}`;
}
/** Which network's posts count; the page's choice holds for every question. */
export function Networks({ networks }) {
  const chosen = new URLSearchParams(location.search).get('net') ?? '', names = [...new Set([...networks, chosen].filter(Boolean))];
  return html`<label><span class="hidden">${t('network')}</span><select onChange=${(event) => go(address({ net: event.target.value }))}><option value="" selected=${!chosen}>${t('all_networks')}</option>${names.map((name) => html`<option value=${name} selected=${name === chosen}>${networkName(name)}</option>`)}</select></label>`;
}
/** Files of a question, in a list that opens. */
export function Exports({ files }) {
  return html`<details class="menu"><summary>${t('export')} ▾</summary><div>${files.map(([name, href]) => html`<a href=${href} download>${name}</a>`)}</div></details>`;
}
export function Posts({ rows, full }) {
  return html`<ul class="posts">${rows.map((post) => html`<li key=${post.post_id}><div class="by">${post.username ? '@' + post.username : post.author_id} · ${post.when}${post.type ? ' · ' + t(post.type) : ''}
    ${post.network === 'x' && html` · <a href=${'https://x.com/i/status/' + encodeURIComponent(post.post_id)} rel="noopener noreferrer nofollow">${t('original_link')}</a>`}</div>
    ${post.text == null ? html`<p class="empty">${t(full ? 'no_text' : 'needs_token')}</p>` : post.sensitive ? html`<details><summary>${t('sensitive')}</summary><p dir="auto" lang=${post.language}>${post.text}</p></details>` : html`<p dir="auto" lang=${post.language}>${post.text}</p>`}
    ${post.reposts_seen != null && html`<div class="by">${t('reposts_seen', { n: post.reposts_seen, number: number(post.reposts_seen) })}</div>`}</li>`)}</ul>`;
}
