import type { ReactNode } from "react";
import { paths } from "../routes";
import { strings } from "../strings";
import { Link } from "./Link";

/** A view that consists of one message and the way back. */
export function MessagePage({ title, text, children }: { title: string; text?: string; children?: ReactNode }) {
  return (
    <main className="message-page">
      <h1>{title}</h1>
      {text && <p>{text}</p>}
      {children}
      <Link className="button" href={paths.newChat}>
        {strings.billing.toChat}
      </Link>
    </main>
  );
}
