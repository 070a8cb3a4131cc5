// @ts-check
// Choosing a period on a timeline by mouse, by finger and by keys. The period goes into the address.
import { address, go } from '../lib/core.js';

const LEAST = 8;

/** Two instants in seconds become the page's period. */
export function choose(from, to) {
  go(address({ from: new Date(from * 1000).toISOString(), to: new Date(to * 1000).toISOString(), last: null, g: null }));
}
/** Lets a plot be brushed; what it returns ends that. The mouse is the plot's own business. */
export function brushed(plot, element, at) {
  const over = plot.over, reach = element.parentElement;
  let start = -1, place = -1, anchor = -1;
  const across = (event) => Math.min(Math.max(event.clientX - over.getBoundingClientRect().left, 0), over.clientWidth);
  const select = (one, other) => plot.setSelect({ left: Math.min(one, other), width: Math.abs(other - one), top: 0, height: over.clientHeight }, false);
  const none = () => { start = anchor = -1; select(0, 0); };
  const down = (event) => { if (event.pointerType !== 'mouse') { start = across(event); over.setPointerCapture(event.pointerId); } };
  const move = (event) => { if (start >= 0) select(start, across(event)); };
  const up = (event) => {
    if (start < 0) return;
    const [one, other] = [start, across(event)].sort((a, b) => a - b);
    none();
    if (other - one >= LEAST) choose(plot.posToVal(one, 'x'), plot.posToVal(other, 'x'));
  };
  const back = () => history.back();
  const key = (event) => {
    const last = at.length - 1, step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -24, PageDown: 24, Home: -last, End: last }[event.key];
    if (step !== undefined && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (place < 0) place = last;
      if (event.shiftKey && anchor < 0) anchor = place;
      if (!event.shiftKey) none();
      place = Math.min(Math.max(place + step, 0), last);
      const x = (index) => plot.valToPos(Date.parse(at[index]) / 1000, 'x');
      plot.setCursor({ left: x(place), top: over.clientHeight / 2 });
      if (event.shiftKey) select(x(anchor), x(place));
    } else if (event.key === 'Enter' && anchor >= 0 && anchor !== place) {
      const [one, other] = [anchor, place].sort((a, b) => a - b);
      none();
      choose(Date.parse(at[one]) / 1000, Date.parse(at[other]) / 1000);
    } else if (event.key === 'Escape' && anchor >= 0) {
      event.stopPropagation();
      none();
    }
  };
  /** @type {[any, string, any][]} */
  const heard = [[over, 'pointerdown', down], [over, 'pointermove', move], [over, 'pointerup', up], [over, 'pointercancel', none], [element, 'dblclick', back], [reach, 'keydown', key]];
  for (const [where, what, hear] of heard) where.addEventListener(what, hear);
  return () => { for (const [where, what, hear] of heard) where.removeEventListener(what, hear); };
}
