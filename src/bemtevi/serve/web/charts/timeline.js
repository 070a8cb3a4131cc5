// @ts-check
// Posts over time: lines that break where nothing was heard, hatched there, with a brush that sets the period.
import { html, useEffect, useRef, state, compact, number, percent, dayName, shortDay, hourName, when, t, duration } from '../lib/core.js';
import { Table } from '../lib/parts.js';
import { brushed, choose } from './brush.js';

export const DASH = [[], [6, 3], [2, 3], [8, 3, 2, 3], [1, 4]];
const WHOLE = [...Array(13).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function hatch(context, x, y, width, height, ink) {
  context.save();
  context.beginPath(); context.rect(x, y, width, height); context.clip();
  context.strokeStyle = ink; context.lineWidth = devicePixelRatio;
  const step = 6 * devicePixelRatio;
  for (let at = -height; at < width; at += step) { context.beginPath(); context.moveTo(x + at, y + height); context.lineTo(x + at + height, y); context.stroke(); }
  context.restore();
}

/** `series`: [{name, values}]; `missing`: [[from, to]]; nulls break lines. */
export function Timeline({ at, series, missing = [], partial = [], granularity = 'hour', height = 280 }) {
  const box = useRef(null);
  useEffect(() => {
    const element = /** @type any */(box.current);
    const times = at.map((one) => Date.parse(one) / 1000);
    const gaps = missing.map(([from, to]) => [Date.parse(from) / 1000, Date.parse(to) / 1000]);
    const narrow = element.clientWidth < 600;
    const ink = color('--ink'), muted = color('--muted'), hair = color('--hair'), gap = color('--gap');
    const open = new Set(partial);
    const whole = series.map((one) => one.values.map((value, index) => open.has(index) ? null : value));
    const last = series.map((one) => one.values.map((value, index) => open.has(index) || open.has(index + 1) ? value : null));
    const stroke = series.map((_, index) => color(`--s${index + 1}`));
    const width = () => Math.max(element.clientWidth, 200);
    const plot = new /** @type any */(window).uPlot({
      width: width(), height, padding: [14, narrow ? 8 : 90, 0, 0],
      tzDate: (seconds) => /** @type any */(window).uPlot.tzDate(new Date(seconds * 1000), state.zone),
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false, dist: 8 }, y: false },
      scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(most * 1.12, 4)] } },
      axes: [
        { stroke: muted, font: '12px system-ui', grid: { show: false }, ticks: { stroke: hair }, space: narrow ? 60 : 110,
          values: (_, splits) => splits.map((one, index) => {
            const span = splits.length > 1 ? splits[1] - splits[0] : 0;
            return span >= 86400 ? (narrow ? shortDay : dayName)(one * 1000) : hourName(one * 1000) === '00:00' || index === 0 ? (narrow ? shortDay : dayName)(one * 1000) : hourName(one * 1000);
          }) },
        { stroke: muted, font: '12px system-ui', grid: { stroke: hair, width: 1 }, ticks: { show: false }, size: 54, incrs: WHOLE, values: (_, splits) => splits.map((one) => compact(one)) },
      ],
      series: [{}, ...whole.map((_, index) => ({ stroke: stroke[index], width: 2, dash: DASH[index], spanGaps: false, points: { show: false }, fill: series.length === 1 || index === 0 ? stroke[index] + '14' : undefined })),
        ...last.map((_, index) => ({ stroke: stroke[index], width: 2, dash: [3, 4], spanGaps: false, points: { show: false } }))],
      hooks: {
        drawClear: [(plot) => {
          for (const [from, to] of gaps) {
            const left = Math.max(plot.valToPos(from, 'x', true), plot.bbox.left), right = Math.min(plot.valToPos(to, 'x', true), plot.bbox.left + plot.bbox.width);
            if (right < plot.bbox.left || left > plot.bbox.left + plot.bbox.width) continue;
            const wide = Math.max(right - left, 3 * devicePixelRatio);
            hatch(plot.ctx, left, plot.bbox.top, wide, plot.bbox.height, gap);
          }
        }],
        draw: [(plot) => {
          const context = plot.ctx;
          context.save(); context.font = `${12 * devicePixelRatio}px system-ui`; context.textAlign = 'left'; context.textBaseline = 'middle';
          for (const [from, to] of gaps) {
            if (to - from < (times.at(-1) - times[0]) / 60) continue;
            const x = plot.valToPos(to, 'x', true) + 6 * devicePixelRatio;
            context.fillStyle = gap;
            if (x < plot.bbox.left + plot.bbox.width - 100 * devicePixelRatio) context.fillText(`${t('not_listened')} ${duration(to - from)}`, x, plot.bbox.top + 8 * devicePixelRatio);
          }
          if (!narrow && series.length > 1) {
            const ends = series.map((one, index) => { let place = one.values.length - 1; while (place > 0 && one.values[place] == null) place--; return { name: one.name, index, y: plot.valToPos(one.values[place] ?? 0, 'y', true) }; }).sort((a, b) => a.y - b.y);
            let before = -1e9;
            for (const end of ends) {
              end.y = Math.max(end.y, before + 15 * devicePixelRatio); before = end.y;
              const x = plot.bbox.left + plot.bbox.width + 8 * devicePixelRatio;
              context.fillStyle = stroke[end.index]; context.fillRect(x, end.y - 4 * devicePixelRatio, 8 * devicePixelRatio, 8 * devicePixelRatio);
              context.fillStyle = ink; context.fillText(end.name.slice(0, 12), x + 12 * devicePixelRatio, end.y);
            }
          }
          context.restore();
        }],
        setSelect: [(plot) => {
          if (plot.select.width < 8) return;
          choose(plot.posToVal(plot.select.left, 'x'), plot.posToVal(plot.select.left + plot.select.width, 'x'));
        }],
        setCursor: [(plot) => {
          const index = plot.cursor.idx, told = element.closest('figure')?.querySelector('.told');
          if (!told) return;
          told.textContent = index == null ? '' : `${when(at[index])}: ` + series.map((one) => `${one.name} ${one.values[index] == null ? t('not_listened') : number(one.values[index])}`).join(' · ');
        }],
      },
    }, [times, ...whole, ...last], element);
    const observer = new ResizeObserver(() => plot.setSize({ width: width(), height }));
    observer.observe(element);
    const leave = brushed(plot, element, at);
    return () => { observer.disconnect(); leave(); plot.destroy(); };
  }, [at, series, document.documentElement.dataset.theme]);
  const sums = at.map((_, index) => series.reduce((sum, one) => sum + (one.values[index] ?? 0), 0));
  const peak = sums.indexOf(Math.max(...sums, 0));
  const summary = at.length ? t('timeline_summary', { step: t(granularity), from: when(at[0]), to: when(at.at(-1)), peak: number(sums[peak]), at: when(at[peak]), gaps: missing.length }) : '';
  return html`<figure><figcaption class="hidden">${summary}</figcaption><div class="reach" tabindex="0" role="group" aria-label=${t('chart_keys')}><div class="plot" ref=${box} aria-hidden="true"></div></div>
    <div class="legend">${series.map((one, index) => html`<span><svg width="24" height="8" aria-hidden="true"><line x1="0" x2="24" y1="4" y2="4" stroke=${`var(--s${index + 1})`} stroke-width="2" stroke-dasharray=${DASH[index].join(' ')} /></svg>${one.name}</span>`)}
      ${missing.length > 0 && html`<span><${Hatched} /> ${t('not_listened')}</span>`}<span class="told" role="status"></span></div></figure>`;
}
export function Hatched() {
  return html`<svg width="16" height="12" aria-hidden="true"><rect x=".5" y=".5" width="15" height="11" fill="none" stroke="var(--gap)" /><path d="M0 12 12 0M5 12 16 1M-5 12 7 0" stroke="var(--gap)" /></svg>`;
}
export function timelineTable(made) {
  const names = Object.keys(made.series);
  return html`<${Table} caption=${t('timeline')} heads=${[t('time'), ...names.map((name) => '>' + name), '>' + t('listened')]} rows=${made.at.map((at, index) => [when(at), ...names.map((name) => made.series[name][index] == null ? t('not_listened') : number(made.series[name][index])), percent(made.listened?.[names[0]]?.[index])])} />`;
}
