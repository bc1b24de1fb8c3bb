// Inline Markdown as React elements. HTML is shown as text, and an image as a link: this page loads nothing from elsewhere.
import type { Token, Tokens } from "marked";
import { Fragment, type ReactNode } from "react";
import { strings } from "../strings";
import { decodeEntities } from "./entities";
import { safeHref } from "./links";

export function Inline({ tokens }: { tokens: readonly Token[] | undefined }): ReactNode {
  return tokens?.map((token, index) => <Fragment key={index}>{renderInline(token)}</Fragment>);
}

function renderInline(token: Token): ReactNode {
  switch (token.type) {
    case "strong":
      return (
        <strong>
          <Inline tokens={token.tokens} />
        </strong>
      );
    case "em":
      return (
        <em>
          <Inline tokens={token.tokens} />
        </em>
      );
    case "del":
      return (
        <del>
          <Inline tokens={token.tokens} />
        </del>
      );
    case "codespan":
      return <code className="inline-code">{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link":
      return (
        <Link href={(token as Tokens.Link).href} title={(token as Tokens.Link).title}>
          <Inline tokens={token.tokens} />
        </Link>
      );
    case "image": {
      const { href, text } = token as Tokens.Image;
      return <Link href={href}>{strings.markdown.image(decodeEntities(text))}</Link>;
    }
    case "checkbox":
      return <Checkbox isChecked={(token as Tokens.Checkbox).checked} />;
    case "escape":
      return (token as Tokens.Escape).text;
    case "html":
      return token.raw;
    default:
      if (token.type === "text" && "tokens" in token && token.tokens) return <Inline tokens={token.tokens} />;
      return decodeEntities("text" in token ? String(token.text) : token.raw);
  }
}

function Link({ href, title, children }: { href: string; title?: string | null; children: ReactNode }) {
  const safe = safeHref(href);
  if (safe === null) return children;
  return (
    <a href={safe} title={title ?? undefined} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

export function Checkbox({ isChecked }: { isChecked: boolean }) {
  return (
    <span className="task-box" role="img" aria-label={isChecked ? strings.markdown.done : strings.markdown.notDone}>
      {isChecked ? "☑" : "☐"}
    </span>
  );
}
