// @ts-check
// What every view uses: elements, the address, the server, words and numbers.
import { h, render, Fragment } from '../vendor/preact.js';
import { useEffect, useState, useRef, useMemo, useCallback } from '../vendor/hooks.js';
import htm from '../vendor/htm.js';

export const html = htm.bind(h);
export { render, Fragment, useEffect, useState, useRef, useMemo, useCallback };

const query = new URLSearchParams(location.search);
export const language = query.get('hl') || localStorage.getItem('hl') || (navigator.language.startsWith('pt') ? 'pt-BR' : 'en');
/** @type {Record<string, any>} */
let words = {};
export async function loadWords() {
  words = await (await fetch(`/web/i18n/${language === 'pt-BR' ? 'pt-BR' : 'en'}.json`)).json();
  document.documentElement.lang = language;
}
const plural = new Intl.PluralRules(language);
/** A text of the page's language; {names} are filled, and a count chooses the form. */
export function t(key, values = {}) {
  let text = words[key] ?? key;
  if (typeof text === 'object') text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}
/** The words for a value that the server tells; a value that has none is shown as it is. */
export const known = (kind, value) => words[`${kind} ${value}`] ?? value;
export const state = { zone: 'UTC' };
const cache = new Map();
const made = (key, make) => cache.get(key) ?? (cache.set(key, make()), cache.get(key));
const formatter = (options) => made(JSON.stringify(options), () => new Intl.NumberFormat(language, options));
export const number = (n) => n == null ? '–' : formatter({ maximumFractionDigits: 1 }).format(n);
export const compact = (n) => n == null ? '–' : formatter({ notation: 'compact', maximumFractionDigits: 1 }).format(n);
export const range = (a, b) => /** @type any */(formatter({ notation: 'compact', maximumFractionDigits: 1 })).formatRange(a, b);
export const percent = (n) => n == null ? '–' : formatter({ style: 'percent', maximumFractionDigits: 1 }).format(n);
const dater = (options) => made(`d${state.zone}${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(language, { timeZone: state.zone, hourCycle: 'h23', ...options }));
export const when = (at) => at == null ? '–' : dater({ day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' }).format(new Date(at));
export const clock = (at) => dater({ hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(at));
export const dayName = (at) => dater({ weekday: 'short', day: 'numeric', month: 'short' }).format(new Date(at));
export const shortDay = (at) => dater({ day: 'numeric', month: 'numeric' }).format(new Date(at));
export const hourName = (at) => dater({ hour: '2-digit', minute: '2-digit' }).format(new Date(at));
export function offset() {
  const part = dater({ timeZoneName: 'longOffset' }).formatToParts(new Date()).find((p) => p.type === 'timeZoneName');
  return (part?.value ?? 'UTC').replace('GMT', 'UTC').replace('-', '−').replace(/^UTC([+−])0?(\d+):00$/, 'UTC$1$2');
}
/** An instant as the clock of the warehouse's zone shows it, for a field; and what such a field means. */
export function inZone(at) {
  const part = Object.fromEntries(new Intl.DateTimeFormat('en', { timeZone: state.zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' }).formatToParts(new Date(at)).map((one) => [one.type, one.value]));
  return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}
export function fromZone(text) {
  let at = Date.parse(text + 'Z');
  for (let turn = 0; turn < 2; turn++) at += Date.parse(text + 'Z') - Date.parse(inZone(at) + 'Z');
  return new Date(at).toISOString();
}
export const zoneName = () => state.zone.split('/').at(-1)?.replaceAll('_', ' ').replace('Sao Paulo', 'São Paulo') ?? 'UTC';
export function duration(seconds) {
  const unit = seconds >= 86400 * 2 ? ['day', 86400] : seconds >= 3600 ? ['hour', 3600] : seconds >= 60 ? ['minute', 60] : ['second', 1];
  return new Intl.NumberFormat(language, { style: 'unit', unit: String(unit[0]), maximumFractionDigits: 1 }).format(seconds / Number(unit[1]));
}
export function languageName(code) {
  if (!code) return t('unknown');
  try { return new Intl.DisplayNames(language, { type: 'language' }).of(code) ?? code; } catch { return code; }
}
export const networkName = (name) => ({ x: 'X', bluesky: 'Bluesky', mastodon: 'Mastodon' })[name] ?? name;

/** The state of a view is its address alone. */
export function address(changes, path = location.pathname) {
  const next = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) value == null || value === '' ? next.delete(key) : next.set(key, value);
  const text = next.toString();
  return path + (text ? `?${text}` : '');
}
export function go(url, replace = false) {
  history[replace ? 'replaceState' : 'pushState'](null, '', url);
  dispatchEvent(new Event('moved'));
}
export const filters = (extra = {}) => {
  const own = new URLSearchParams(location.search), out = new URLSearchParams();
  for (const key of ['last', 'from', 'to', 'net', 'lang', 'type']) if (own.get(key)) out.set(key, String(own.get(key)));
  if (!out.get('last') && !out.get('from')) out.set('last', '7d');
  for (const [key, value] of Object.entries(extra)) if (value != null && value !== '') out.set(key, String(value));
  return out.toString();
};

/** Ask the server; problems come as errors with their words. One that says when to ask again is asked again. */
export async function get(path, options = {}, patience = 60) {
  let answer;
  try { answer = await fetch(path, { headers: { accept: 'application/json' }, ...options }); } catch { throw new Error(t('no_server')); }
  const later = answer.status === 503 && Number(answer.headers.get('retry-after'));
  if (later && patience > 0) {
    await new Promise((resolve) => setTimeout(resolve, later * 1000));
    return get(path, options, patience - 1);
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ title: answer.statusText }));
    throw new Error([problem.title, problem.detail].filter(Boolean).join('. '));
  }
  return answer.json();
}
export function useAnswer(path, every = 0, pulse = 0) {
  const [answer, set] = useState(/** @type any */({ busy: true }));
  const [turn, again] = useState(0);
  useEffect(() => {
    let gone = false, asking = false;
    set((old) => ({ ...old, busy: true }));
    const ask = () => {
      asking = true;
      get(path).then((got) => !gone && set({ ...got, busy: false }), (error) => !gone && set((old) => ({ ...old, busy: false, error: error.message }))).finally(() => { asking = false; });
    };
    if (path) ask();
    const timer = every ? setInterval(() => !document.hidden && !asking && ask(), every) : 0;
    return () => { gone = true; clearInterval(timer); };
  }, [path, turn]);
  useEffect(() => {
    if (!pulse || !path) return;
    let gone = false;
    get(path).then((got) => !gone && set({ ...got, busy: false }), () => {});
    return () => { gone = true; };
  }, [pulse]);
  return { ...answer, retry: () => again(turn + 1) };
}
