import { memo } from "react";
import { Markdown } from "../markdown/Markdown";
import { strings } from "../strings";

export const UserMessage = memo(function UserMessage({ content }: { content: string }) {
  return (
    <article className="message own">
      <h2 className="visually-hidden">{strings.chat.you}</h2>
      <div className="bubble">
        <Markdown text={content} breaks />
      </div>
    </article>
  );
});
