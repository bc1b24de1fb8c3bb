// Block-level Markdown as React elements. Each block is rendered again only when its source changes.
import type { Token, Tokens } from "marked";
import { memo, type ReactNode } from "react";
import { strings } from "../strings";
import { CodeBlockView } from "./CodeBlockView";
import { linesOf } from "./codeLines";
import { type Block, languageOf } from "./document";
import { Inline } from "./Inline";

export const BlockView = memo(
  function BlockView({ block }: { block: Block }) {
    if (block.kind === "code") {
      return <CodeBlockView language={block.language} lines={block.lines} isClosed={block.isClosed} />;
    }
    return <TokenView token={block.token} isContinued={block.continues !== undefined} />;
  },
  (before, after) => before.block === after.block || isSameText(before.block, after.block),
);

const isSameText = (before: Block, after: Block) =>
  before.kind === "text" &&
  after.kind === "text" &&
  before.token.raw === after.token.raw &&
  isLoose(before.token) === isLoose(after.token);

const isLoose = (token: Token) => token.type === "list" && (token as Tokens.List).loose;

const TokenView = memo(
  function TokenView({ token, isContinued = false }: { token: Token; isContinued?: boolean }) {
    return renderToken(token, isContinued);
  },
  (before, after) =>
    before.token.raw === after.token.raw &&
    before.token.type === after.token.type &&
    isLoose(before.token) === isLoose(after.token),
);

function renderToken(token: Token, isContinued: boolean): ReactNode {
  switch (token.type) {
    case "heading": {
      // The page has an h1 and each message is below an h2, so that headings of a message begin at h3.
      const Heading = (["h3", "h4", "h5", "h6", "h6", "h6"] as const)[(token as Tokens.Heading).depth - 1] ?? "h6";
      return (
        <Heading data-depth={(token as Tokens.Heading).depth}>
          <Inline tokens={token.tokens} />
        </Heading>
      );
    }
    case "paragraph":
      return (
        <p>
          <Inline tokens={token.tokens} />
        </p>
      );
    case "blockquote":
      return (
        <blockquote>
          <Tokens tokens={token.tokens} />
        </blockquote>
      );
    case "list":
      return <List list={token as Tokens.List} isContinued={isContinued} />;
    case "table":
      return <Table table={token as Tokens.Table} />;
    case "hr":
      return <hr />;
    case "code": {
      const { text, lang } = token as Tokens.Code;
      return <CodeBlockView language={languageOf(lang ?? "")} lines={linesOf(text)} isClosed />;
    }
    case "html":
      return <p className="html-source">{token.raw.trimEnd()}</p>;
    case "space":
    case "def":
      return null;
    default:
      return <Inline tokens={[token]} />;
  }
}

function Tokens({ tokens }: { tokens: readonly Token[] | undefined }): ReactNode {
  return tokens?.map((token, index) => <TokenView key={index} token={token} />);
}

function List({ list, isContinued }: { list: Tokens.List; isContinued: boolean }) {
  const items = list.items.map((item, index) => <Item key={index} item={item} />);
  const continued = isContinued || undefined;
  if (!list.ordered) return <ul data-continued={continued}>{items}</ul>;
  return (
    <ol start={list.start === "" ? undefined : list.start} data-continued={continued}>
      {items}
    </ol>
  );
}

const Item = memo(
  function Item({ item }: { item: Tokens.ListItem }) {
    return (
      <li className={item.task ? "task" : undefined}>
        <Tokens tokens={item.tokens} />
      </li>
    );
  },
  (before, after) => before.item.raw === after.item.raw && before.item.loose === after.item.loose,
);

function Table({ table }: { table: Tokens.Table }) {
  return (
    // A wide table scrolls by itself, also by keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrollable region must be focusable
    <div className="table-scroll" role="group" aria-label={strings.markdown.table} tabIndex={0}>
      <table>
        <thead>
          <Row cells={table.header} isHeader />
        </thead>
        <tbody>
          {table.rows.map((cells, index) => (
            <Row key={index} cells={cells} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const Row = memo(
  function Row({ cells, isHeader = false }: { cells: readonly Tokens.TableCell[]; isHeader?: boolean }) {
    const Cell = isHeader ? "th" : "td";
    return (
      <tr>
        {cells.map(({ tokens, align }, index) => (
          <Cell key={index} className={align ? `align-${align}` : undefined} scope={isHeader ? "col" : undefined}>
            <Inline tokens={tokens} />
          </Cell>
        ))}
      </tr>
    );
  },
  (before, after) =>
    before.cells.length === after.cells.length &&
    before.cells.every(({ text, align }, index) => text === after.cells[index]?.text && align === after.cells[index].align),
);
