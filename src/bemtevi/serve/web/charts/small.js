// @ts-check
// Small pictures in SVG: sparkline, heat map, network, lanes of listening.
import { html, t, number, language, compact, when } from '../lib/core.js';

const RULE = html`<defs><pattern id="deaf" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line x1="0" x2="0" y1="0" y2="5" stroke="var(--gap)" stroke-width="1.4" /></pattern></defs>`;

export function Spark({ values, missing = [], hours = [] }) {
  const most = Math.max(...values, 1), wide = 180 / Math.max(values.length, 1);
  const start = Date.parse(hours[0]), length = Date.parse(hours.at(-1)) + 36e5 - start;
  return html`<svg width="180" height="30" viewBox="0 0 180 30" aria-hidden="true">${RULE}
    ${missing.map(([from, to]) => { const x = Math.max((Date.parse(from) - start) / length * 180, 0); const end = Math.min((Date.parse(to) - start) / length * 180, 180); return end > x && html`<rect x=${x} y="0" width=${Math.max(end - x, 2)} height="30" fill="url(#deaf)" />`; })}
    ${values.map((value, index) => value > 0 && html`<rect x=${index * wide} y=${30 - 28 * value / most} width=${Math.max(wide - 0.4, 0.6)} height=${28 * value / most} fill="var(--s1)" />`)}</svg>`;
}
export const weekdays = () => [...Array(7)].map((_, day) => new Intl.DateTimeFormat(language, { weekday: 'short', timeZone: 'UTC' }).format(new Date(Date.UTC(2024, 0, 1 + day))));
export function Heat({ cells }) {
  const means = cells.map((cell) => cell.mean).filter((mean) => mean != null && mean > 0).sort((a, b) => a - b);
  const cut = [0.2, 0.4, 0.6, 0.8].map((share) => means[Math.floor(share * means.length)] ?? 0);
  const step = (mean) => mean <= 0 ? 0 : cut.filter((one) => mean >= one).length;
  return html`<figure><svg viewBox="0 0 560 204" width="100%" role="img" aria-label=${t('heat_label', { most: number(means.at(-1) ?? 0) })}>${RULE}
    ${weekdays().map((name, day) => html`<text class="m" x="0" y=${day * 24 + 15}>${name}</text>`)}
    ${cells.map((cell) => { const x = 44 + cell.hour * 21.4, y = (cell.weekday - 1) * 24; const fill = cell.mean == null ? 'url(#deaf)' : `var(--h${step(cell.mean)})`;
      return html`<rect x=${x} y=${y} width="19.6" height="21" rx="2.5" fill=${fill} stroke=${cell.mean == null ? 'var(--gap)' : 'none'}><title>${weekdays()[cell.weekday - 1]} ${cell.hour}:00 · ${cell.mean == null ? t('not_listened') : number(cell.mean)}</title></rect>`; })}
    ${[0, 6, 12, 18].map((hour) => html`<text class="m" x=${44 + hour * 21.4} y="184">${String(hour).padStart(2, '0')}:00</text>`)}</svg>
    <div class="legend"><span>${number(means[0] ?? 0)}</span>${[0, 1, 2, 3, 4].map((one) => html`<svg width="18" height="12" aria-hidden="true"><rect width="18" height="12" rx="2" fill=${`var(--h${one})`} /></svg>`)}<span>${number(means.at(-1) ?? 0)}</span></div></figure>`;
}
export function Network({ nodes, edges }) {
  const wide = 560, high = 310, place = new Map(nodes.map((node) => [node.hashtag, [50 + node.x * (wide - 130), 24 + node.y * (high - 50)]]));
  const most = Math.max(...nodes.map((node) => node.posts), 1), heavy = Math.max(...edges.map((edge) => edge.together), 1);
  const taken = [];
  const label = (x, y, text) => { const box = [x, y - 9, x + text.length * 6.6, y + 4]; if (taken.some((one) => box[0] < one[2] && box[2] > one[0] && box[1] < one[3] && box[3] > one[1])) return false; taken.push(box); return true; };
  return html`<svg viewBox=${`0 0 ${wide} ${high}`} width="100%" role="img" aria-label=${t('network_label', { nodes: nodes.length, edges: edges.length })}>
    ${edges.map((edge) => { const [a, b] = [place.get(edge.one), place.get(edge.other)]; return html`<line x1=${a[0]} y1=${a[1]} x2=${b[0]} y2=${b[1]} stroke="var(--control)" stroke-opacity=".55" stroke-width=${0.8 + 4 * edge.together / heavy} />`; })}
    ${nodes.map((node) => { const [x, y] = place.get(node.hashtag), size = 4 + 12 * Math.sqrt(node.posts / most), text = '#' + node.hashtag.slice(0, 20);
      return html`<g><circle cx=${x} cy=${y} r=${size} fill=${`var(--s${1 + node.group % 5})`}><title>#${node.hashtag} · ${number(node.posts)} · ${t('group')} ${node.group + 1}</title></circle>${label(x + size + 3, y + 4, text) && html`<text x=${x + size + 3} y=${y + 4}>${text}</text>`}</g>`; })}</svg>`;
}
export function Lanes({ lanes, since, until }) {
  const start = Date.parse(since), length = Date.parse(until) - start, at = (time) => Math.min(Math.max((Date.parse(time) - start) / length * 1000, 0), 1000);
  return html`${lanes.map((lane) => html`<svg viewBox="0 0 1000 26" width="100%" height="26" preserveAspectRatio="none" role="img" aria-label=${lane.network}>${RULE}
    <rect width="1000" height="26" fill="var(--page)" />
    ${lane.parts.map((part) => html`<rect x=${at(part.from)} y="2" width=${Math.max(at(part.to) - at(part.from), 2)} height="22" fill=${part.state === 'listened' ? 'var(--s3)' : part.state === 'filled' ? 'var(--h1)' : 'url(#deaf)'} stroke=${part.state === 'missing' ? 'var(--gap)' : 'none'}><title>${t(part.state)} ${when(part.from)} – ${when(part.to)}</title></rect>`)}</svg>`)}`;
}
export { compact };
