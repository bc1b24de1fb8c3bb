// The connection between the browser and the server: a TCP proxy that a test can cut.
import { connect, createServer, type Server, type Socket } from "node:net";
import { listen } from "./ports";

export class Network {
  private readonly sockets = new Set<Socket>();
  private isCut = false;
  /** The port to which connections are forwarded. */
  target = 0;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(): Promise<Network> {
    const server = createServer();
    const network = new Network(server, await listen(server));
    server.on("connection", (client) => network.forward(client));
    return network;
  }

  /** Breaks all connections and refuses new ones. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  restore(): void {
    this.isCut = false;
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  private forward(client: Socket): void {
    if (this.isCut) return void client.destroy();
    const upstream = connect(this.target, "127.0.0.1");
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  }
}
