// Keeps the end of a growing list in view, unless the reader has scrolled up.
import { useEffect, useRef, useState } from "react";

/** The end counts as reached within this distance. */
const TOLERANCE_PX = 32;

export function useFollowEnd() {
  const scroll = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const isFollowing = useRef(true);
  const [isAtEnd, setIsAtEnd] = useState(true);

  useEffect(() => {
    const area = scroll.current;
    const inner = content.current;
    if (!area || !inner) return;
    let lastTop = area.scrollTop;
    const distance = () => area.scrollHeight - area.clientHeight - area.scrollTop;
    const follow = () => {
      if (isFollowing.current) area.scrollTop = area.scrollHeight;
    };
    const onScroll = () => {
      // Growing content also increases the distance; only a movement upwards is the reader's.
      if (distance() <= TOLERANCE_PX) isFollowing.current = true;
      else if (area.scrollTop < lastTop) isFollowing.current = false;
      lastTop = area.scrollTop;
      setIsAtEnd(isFollowing.current);
    };
    area.addEventListener("scroll", onScroll, { passive: true });
    const observer = new ResizeObserver(follow);
    observer.observe(inner);
    observer.observe(area);
    return () => {
      area.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }, []);

  function scrollToEnd() {
    isFollowing.current = true;
    setIsAtEnd(true);
    scroll.current?.scrollTo({ top: scroll.current.scrollHeight });
  }

  return { scroll, content, isAtEnd, scrollToEnd };
}
