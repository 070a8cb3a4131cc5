// @ts-check
// The whole history under the timeline, with the page's period in it: to be moved, widened and chosen anew.
import { html, t, when, useEffect, useRef, useState } from '../lib/core.js';
import { choose } from './brush.js';

const WIDE = 1000, HIGH = 40, EDGE = 14, LEAST = 0.004;
const within = (share) => Math.min(Math.max(share, 0), 1);

/** `at`, `series`: columns of a timeline over all that is known; `missing`: [[from, to]]; the page's period. */
export function Navigator({ at, series, missing = [], since, until }) {
  const box = useRef(null), grip = useRef(/** @type any */(null));
  const start = Date.parse(at[0]), end = Math.max(Date.parse(until), Date.parse(at.at(-1)) + (at.length > 1 ? Date.parse(at[1]) - start : 36e5));
  const share = (time) => within((Date.parse(time) - start) / (end - start));
  const asked = [share(since), share(until)];
  const [chosen, draw] = useState(/** @type any */(null));
  useEffect(() => draw(null), [since, until]);
  const [low, high] = chosen ?? asked;
  const sums = at.map((_, index) => Object.values(series).reduce((sum, values) => sum + (values[index] ?? 0), 0));
  const most = Math.max(...sums, 1), wide = WIDE / Math.max(at.length, 1);
  const place = (event) => { const area = /** @type any */(box.current).getBoundingClientRect(); return { x: within((event.clientX - area.left) / area.width), edge: EDGE / area.width }; };
  const set = (one, other) => draw([Math.min(one, other), Math.max(one, other)]);
  const apply = ([from, to]) => { if (to - from >= LEAST) choose((start + from * (end - start)) / 1000, (start + to * (end - start)) / 1000); else draw(null); };
  const down = (event) => {
    if (event.button) return;
    const { x, edge } = place(event);
    const kind = Math.abs(x - low) < edge ? 'from' : Math.abs(x - high) < edge ? 'to' : x > low && x < high && high - low < 0.98 ? 'move' : 'new';
    grip.current = { kind, x, low, high };
    /** @type any */(box.current).setPointerCapture(event.pointerId);
  };
  const move = (event) => {
    const held = grip.current;
    if (!held) return;
    const { x } = place(event);
    if (held.kind === 'from') set(x, held.high);
    else if (held.kind === 'to') set(held.low, x);
    else if (held.kind === 'new') set(held.x, x);
    else { const by = Math.min(Math.max(x - held.x, -held.low), 1 - held.high); set(held.low + by, held.high + by); }
  };
  const up = () => { const held = grip.current; grip.current = null; if (held && chosen) apply(chosen); };
  const cancel = () => { grip.current = null; draw(null); };
  const key = (name) => (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = within((name === 'from' ? low : high) + step / at.length);
      if (name === 'from') draw([Math.min(next, high - LEAST), high]); else draw([low, Math.max(next, low + LEAST)]);
    } else if (event.key === 'Enter' && chosen) apply(chosen);
    else if (event.key === 'Escape' && chosen) { event.stopPropagation(); draw(null); }
  };
  const time = (part) => when(start + part * (end - start));
  const handle = (name, part) => html`<div class="handle" role="slider" tabindex="0" aria-label=${t('navigator_' + name)} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(part * 100)} aria-valuetext=${time(part)} style=${{ left: `${part * 100}%` }} onKeyDown=${key(name)}></div>`;
  return html`<div class="navigator" ref=${box} role="group" aria-label=${t('navigator')} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${cancel}>
    <svg viewBox=${`0 0 ${WIDE} ${HIGH}`} width="100%" height=${HIGH} preserveAspectRatio="none" aria-hidden="true"><defs><pattern id="deaf-then" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line x1="0" x2="0" y1="0" y2="5" stroke="var(--gap)" stroke-width="1.4" /></pattern></defs>
      ${missing.map(([from, to]) => html`<rect x=${share(from) * WIDE} y="0" width=${Math.max((share(to) - share(from)) * WIDE, 2)} height=${HIGH} fill="url(#deaf-then)" />`)}
      ${sums.map((sum, index) => sum > 0 && html`<rect x=${index * wide} y=${HIGH - (HIGH - 2) * sum / most} width=${Math.max(wide * 0.9, 0.5)} height=${(HIGH - 2) * sum / most} fill="var(--s1)" fill-opacity=".75" />`)}</svg>
    <div class="window" style=${{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }}></div>${handle('from', low)}${handle('to', high)}
    <p class="ends"><span>${when(at[0])}</span>${chosen && html`<strong role="status">${time(low)} – ${time(high)}</strong>`}<span>${when(end)}</span></p></div>`;
}
