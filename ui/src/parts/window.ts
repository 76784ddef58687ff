// Windowing: of a long list only what is seen is in the page. TanStack's core with the two hooks that it needs.

import { elementScroll, observeElementOffset, observeElementRect, type VirtualItem, Virtualizer } from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useReducer, useState } from "preact/hooks";

export interface Window {
  items: VirtualItem[];
  height: number;
  reveal: (index: number) => void;
}

/** What of `count` lines is in sight of `scroller`, and a little around it. */
export function useWindow(scroller: RefObject<HTMLElement | null>, count: number, size: (index: number) => number, key: (index: number) => string): Window {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const options = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: size,
    getItemKey: key,
    overscan: 8,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: () => redraw(0),
  };
  const [virtual] = useState(() => new Virtualizer<HTMLElement, HTMLElement>(options));
  virtual.setOptions(options);
  useEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  return { items: virtual.getVirtualItems(), height: virtual.getTotalSize(), reveal: (index) => virtual.scrollToIndex(index, { align: "auto" }) };
}
