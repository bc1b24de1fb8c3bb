import type { ComponentProps } from "react";
import { navigate } from "../routes";

/** A link to another view, without loading the page again. */
export function Link({ href, onClick, children, ...props }: ComponentProps<"a"> & { href: string }) {
  return (
    <a
      {...props}
      href={href}
      onClick={(event) => {
        onClick?.(event);
        const opensElsewhere = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
        if (event.defaultPrevented || opensElsewhere) return;
        event.preventDefault();
        navigate(href);
      }}
    >
      {children}
    </a>
  );
}
