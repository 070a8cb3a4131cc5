// @ts-check
// What has just come. One stream for the whole browser: the tab that holds the lock listens and passes events on,
// for a browser opens six connections to a server at most, and a seventh tab would wait for ever.
import { useEffect, useRef, useState } from './core.js';

const channel = 'BroadcastChannel' in window ? new BroadcastChannel('bemtevi-live') : null;
const hearers = new Set();
const tell = (event) => { for (const hear of hearers) hear(event); };
let begun = false;

function listen() {
  const stream = new EventSource('/api/v1/live');
  const pass = (event) => { const told = { kind: event.type, data: JSON.parse(event.data) }; tell(told); channel?.postMessage(told); };
  for (const kind of ['post', 'count', 'total', 'resync']) stream.addEventListener(kind, pass);
}
function begin() {
  if (begun) return;
  begun = true;
  channel?.addEventListener('message', (event) => tell(event.data));
  if (navigator.locks && channel) navigator.locks.request('bemtevi-live', () => { listen(); return new Promise(() => {}); });
  else listen();
}
/** New posts with a hashtag that wait to be shown, and a number that grows when something changed; at most every 1.5 s. */
export function useLive(tag) {
  const [waiting, wait] = useState(/** @type any[] */([])), [pulse, beat] = useState(0), [count, add] = useState(0);
  const due = useRef(/** @type any */(0));
  useEffect(() => {
    begin();
    wait([]); add(0);
    const soon = () => { if (!due.current) due.current = setTimeout(() => { due.current = 0; if (!document.hidden) beat((n) => n + 1); }, 1500); };
    const hear = ({ kind, data }) => {
      if (kind === 'resync') soon();
      if (kind === 'post' && data.hashtags.includes(tag)) wait((old) => old.some((post) => post.post_id === data.post_id) ? old : [data, ...old].slice(0, 30));
      if (kind === 'count' && data.hashtag === tag) { add((n) => n + data.new); soon(); }
    };
    hearers.add(hear);
    return () => { hearers.delete(hear); clearTimeout(due.current); due.current = 0; };
  }, [tag]);
  return { waiting, count, pulse, clear: () => { wait([]); add(0); } };
}
/** A number as it was at most so long ago: what is read aloud must not follow every tick. */
export function useSlowly(value, milliseconds) {
  const [slow, set] = useState(value), latest = useRef(value);
  latest.current = value;
  useEffect(() => { const timer = setInterval(() => set(latest.current), milliseconds); return () => clearInterval(timer); }, [milliseconds]);
  return value === 0 ? 0 : slow;
}
