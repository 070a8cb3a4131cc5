// @ts-check
// The shell: which view an address shows, the bar, the keys.
import { html, render, loadWords, t, state, language, useEffect, useState, useAnswer, go, address, clock, offset, zoneName } from './lib/core.js';
import { Link } from './lib/parts.js';
import { Overview } from './views/overview.js';
import { Hashtag } from './views/hashtag.js';
import { About, Compare, Gaps, Runs, Search, Sql } from './views/others.js';

const VIEWS = { '': Overview, compare: Compare, search: Search, gaps: Gaps, runs: Runs, sql: Sql, about: About };
const NAV = [['/', 'overview'], ['/compare', 'compare'], ['/search', 'search'], ['/gaps', 'gaps'], ['/runs', 'runs'], ['/sql', 'sql'], ['/about', 'about']];

function Find() {
  const ask = (event) => { event.preventDefault(); const tag = event.target.elements.find.value.replace(/^[#＃]/, '').trim(); if (tag) go('/t/' + encodeURIComponent(tag)); };
  return html`<form onSubmit=${ask} role="search"><label class="hidden" for="find">${t('find')}</label><input id="find" name="find" placeholder=${t('find')} size="14" /></form>`;
}
function Clock({ status }) {
  const [now, tick] = useState(Date.now());
  useEffect(() => { const timer = setInterval(() => tick(Date.now()), 1000); return () => clearInterval(timer); }, []);
  const age = status.data?.received_at ? (now - Date.parse(status.data.received_at)) / 1000 : Infinity;
  const kind = status.error ? 'bad' : age < 120 ? '' : 'warn';
  return html`<span><span class="dot ${kind}"></span><span class=${status.error ? '' : 'word'}>${status.error ? t('no_server') : age < 120 ? t('live') : t('quiet')} · </span>${clock(now)} <span class="zone">${zoneName()} (${offset()})</span></span>`;
}
function App() {
  const [place, move] = useState(location.href);
  useEffect(() => {
    const moved = () => { const changed = new URL(place).pathname !== location.pathname; move(location.href); if (changed) { scrollTo(0, 0); setTimeout(() => document.querySelector('h1')?.focus({ preventScroll: true }), 50); } };
    const key = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
      if (event.key === '/') { event.preventDefault(); document.getElementById('find')?.focus(); }
      const period = { 1: '24h', 2: '7d', 3: '30d' }[event.key];
      if (period) go(address({ last: period, from: null, to: null, g: null }));
      if (event.key === 'c' || event.key === 'C') document.getElementById('custom')?.click();
      if (event.key === 'x' || event.key === 'X') go('/compare' + (location.pathname.startsWith('/t/') ? `?tags=${location.pathname.slice(3)}` : ''));
      if (event.key === '?') go('/about#keys');
      if (event.key === 't' || event.key === 'T') go(address({ view: new URLSearchParams(location.search).get('view') ? null : 'table' }));
      if (event.key === 'Escape' && new URLSearchParams(location.search).get('from')) history.back();
    };
    addEventListener('moved', moved); addEventListener('popstate', moved); addEventListener('keydown', key);
    return () => { removeEventListener('moved', moved); removeEventListener('popstate', moved); removeEventListener('keydown', key); };
  });
  const status = useAnswer('/api/v1/status', 5000);
  if (status.meta) state.zone = status.meta.timezone;
  const [, first, rest] = location.pathname.split('/');
  const View = first === 't' ? Hashtag : VIEWS[first ?? ''];
  const other = language === 'pt-BR' ? ['en', 'EN', 'English'] : ['pt-BR', 'PT', 'Português'];
  const dark = document.documentElement.dataset.theme === 'dark';
  const turn = () => { localStorage.setItem('theme', dark ? 'light' : 'dark'); document.documentElement.dataset.theme = dark ? 'light' : 'dark'; move(location.href + ' '); };
  const tag = first === 't' ? decodeURIComponent(rest ?? '') : '';
  const wall = new URLSearchParams(location.search).get('wall');
  return html`<div class=${wall ? 'wall' : ''}><a class="skip" href="#main">${t('skip')}</a><header><div class="bar"><${Link} class="brand" href="/"><img src="/web/icon.svg" alt="" />bemtevi<//>
    <nav aria-label=${t('views')}>${NAV.map(([href, name]) => html`<${Link} href=${href} aria-current=${location.pathname === href ? 'page' : null}>${t(name)}<//>`)}</nav>
    <div class="right"><${Find} /><${Clock} status=${status} /><button onClick=${turn} title=${t('theme')} aria-label=${t('theme')}>${dark ? '☀' : '☾'}</button><button lang=${other[0]} title=${other[2]} onClick=${() => { localStorage.setItem('hl', other[0]); location.href = address({ hl: null }); }}>${other[1]}</button></div></div></header>
    <main id="main" key=${location.pathname + dark}>${status.data || status.error ? View ? html`<${View} status=${status} tag=${tag} full=${status.data?.full} />` : html`<h1>${t('no_page')}</h1><p><${Link} href="/">${t('overview')}<//></p>` : html`<h1 class="hidden">bemtevi</h1><p class="empty later" role="status">${t('opening')}</p>`}</main></div>`;
}
await loadWords();
render(html`<${App} />`, /** @type any */(document.getElementById('app')));
