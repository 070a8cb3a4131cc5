// The theme before the first paint, so that nothing flashes.
(() => {
  const asked = new URLSearchParams(location.search).get('theme') || localStorage.getItem('theme');
  const dark = asked ? asked === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
