// Serves dist/ with the headers of the server, and forwards everything else to it: for tests of a binary without the page.
import { readFileSync } from "node:fs";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { extname, join, normalize } from "node:path";
import type { Duplex } from "node:stream";
import { listen } from "./ports";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".txt": "text/plain; charset=utf-8",
};

const policy = (host: string, styles: string, fonts: string, more: string) =>
  `default-src 'none'; script-src 'self'; style-src ${styles}; img-src 'self' data:; font-src ${fonts}; ` +
  `connect-src 'self' ws://${host}; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'${more}`;

export const CHAT_POLICY = (host: string) => policy(host, "'self'", "'self'", "");
/** The editor sets styles at run time, embeds fonts in its style sheet and starts workers. */
export const GRAPHIQL_POLICY = (host: string) =>
  policy(host, "'self' 'unsafe-inline'", "'self' data:", "; worker-src 'self' blob:");

export async function servePage(dist: string, backendPort: number): Promise<{ port: number; close: () => void }> {
  const server: Server = createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url ?? "/", "http://localhost");
    if (isApi(pathname) || incoming.method !== "GET") forward(incoming, response, backendPort);
    else serveFile(dist, pathname, incoming, response);
  });
  server.on("upgrade", (incoming: IncomingMessage, client: Duplex, head: Buffer) => {
    const upstream = connect(backendPort, "127.0.0.1", () => {
      const headers = Array.from({ length: incoming.rawHeaders.length / 2 }, (_, index) =>
        incoming.rawHeaders.slice(2 * index, 2 * index + 2).join(": "),
      );
      upstream.write(`${incoming.method ?? "GET"} ${incoming.url ?? "/"} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  });
  const port = await listen(server);
  return {
    port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const isApi = (pathname: string) =>
  ["/graphql", "/my-data", "/webhook/stripe"].includes(pathname) || pathname.startsWith("/health/");

function serveFile(dist: string, pathname: string, incoming: IncomingMessage, response: ServerResponse): void {
  const isAsset = pathname.startsWith("/assets/") || pathname === "/licenses.txt";
  const name = isAsset ? normalize(pathname) : pathname === "/graphiql" ? "graphiql.html" : "index.html";
  const host = incoming.headers.host ?? "";
  try {
    const compressed = incoming.headers["accept-encoding"]?.includes("br") ? read(join(dist, `${name}.br`)) : null;
    const body = compressed ?? readFileSync(join(dist, name));
    response.writeHead(200, {
      "content-type": TYPES[extname(name)] ?? "application/octet-stream",
      ...(compressed && { "content-encoding": "br" }),
      "cache-control": pathname.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
      "content-security-policy": name === "graphiql.html" ? GRAPHIQL_POLICY(host) : CHAT_POLICY(host),
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

function read(file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch {
    return null;
  }
}

function forward(incoming: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url: path, headers } = incoming;
  const outgoing = request({ host: "127.0.0.1", port, method, path, headers }, (received) => {
    response.writeHead(received.statusCode ?? 502, received.headers);
    received.pipe(response);
  });
  outgoing.on("error", () => response.destroy());
  response.on("close", () => outgoing.destroy());
  incoming.pipe(outgoing);
}
