import { useEffect, useState } from "react";
import { query as request } from "../api/request";
import { SearchDocument, type SearchQuery } from "../generated/operations";
import { paths } from "../routes";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { Link } from "../ui/Link";
import { RelativeTime } from "../ui/time";
import { partsOf } from "./highlights";

type Edge = SearchQuery["search"]["edges"][number];

/** A search waits until the reader has paused typing. */
const DELAY_MS = 200;

interface State {
  /** The text to which the results belong. Null: none were read yet. */
  query: string | null;
  edges: readonly Edge[];
  nextCursor: string | null;
  error: string | null;
}

const nothing: State = { query: null, edges: [], nextCursor: null, error: null };

/** The messages that contain what is typed. The results of the text before stay until the new ones are there. */
export default function SearchResults({ query, onOpen }: { query: string; onOpen: () => void }) {
  const [state, setState] = useState(nothing);
  const [after, setAfter] = useState<{ query: string; cursor: string } | null>(null);
  const cursor = after?.query === query ? after.cursor : null;

  useEffect(() => {
    let isOver = false;
    const search = async () => {
      try {
        const { edges, pageInfo } = (await request(SearchDocument, { query, after: cursor })).search;
        if (isOver) return;
        const nextCursor = pageInfo.hasNextPage ? pageInfo.endCursor : null;
        setState((before) => ({
          query,
          edges: cursor === null ? edges : [...before.edges, ...edges],
          nextCursor,
          error: null,
        }));
      } catch (failure) {
        if (!isOver) setState({ ...nothing, query, error: describeError(failure) });
      }
    };
    const timer = setTimeout(() => void search(), cursor === null ? DELAY_MS : 0);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [query, cursor]);

  const { edges, nextCursor, error } = state;
  const isCurrent = state.query === query;
  return (
    <div className="chatroom-scroll" aria-busy={!isCurrent}>
      <p className="visually-hidden" role="status">
        {isCurrent && error === null && strings.search.found(edges.length, nextCursor !== null)}
      </p>
      <ErrorText>{error}</ErrorText>
      {isCurrent && error === null && edges.length === 0 && (
        <p className="sidebar-note" aria-hidden="true">
          {strings.search.nothing}
        </p>
      )}
      <ul className="chatroom-list" aria-label={strings.search.results}>
        {edges.map((edge) => (
          <Result key={edge.node.id} edge={edge} onOpen={onOpen} />
        ))}
      </ul>
      {isCurrent && nextCursor !== null && (
        <button type="button" className="quiet-button load-more" onClick={() => setAfter({ query, cursor: nextCursor })}>
          {strings.sidebar.loadMore}
        </button>
      )}
    </div>
  );
}

function Result({ edge: { snippet, highlights, node }, onOpen }: { edge: Edge; onOpen: () => void }) {
  const { id, chatroom, createdAt } = node;
  return (
    <li className="chatroom">
      <Link className="chatroom-link" href={paths.message(chatroom.id, id)} onClick={onOpen}>
        <span className="chatroom-title">{chatroom.title}</span>
        <span className="search-snippet">
          {partsOf(snippet, highlights).map(({ text, isMatch }, index) =>
            isMatch ? <mark key={index}>{text}</mark> : <span key={index}>{text}</span>,
          )}
        </span>
        <span className="chatroom-time">
          <RelativeTime time={createdAt} />
        </span>
      </Link>
    </li>
  );
}
