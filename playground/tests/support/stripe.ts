// A stand-in for Stripe: stores customers, checkouts and subscriptions, and signs webhook events.
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { listen } from "./ports";

const SECRET_KEY = "sk_test_stand_in";
const WEBHOOK_SECRET = "whsec_stand_in";
const PRICE = "price_pro";
const PRODUCT = "prod_pro";
const PRICE_FIELDS = { id: PRICE, object: "price", product: PRODUCT, unit_amount: 1000, currency: "usd" };
const PERIOD_SECONDS = 30 * 86_400;

/** The host of Stripe's pages. Tests answer its requests in the browser. */
export const CHECKOUT_HOST = "https://checkout.stripe.test";

type Json = Record<string, unknown>;

export class Stripe {
  private readonly objects = new Map<string, Json>();
  private lastId = 0;

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(): Promise<Stripe> {
    const server = createServer();
    const stripe = new Stripe(server, await listen(server));
    server.on("request", (request, response) => {
      void readBody(request).then((body) => {
        const { status, json } = stripe.respond(request, new URLSearchParams(body));
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
      });
    });
    return stripe;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  /** The settings of a server that uses this Stripe. */
  environment(frontEndUrl: string): Record<string, string> {
    return {
      STRIPE_SECRET_KEY: SECRET_KEY,
      STRIPE_PRO_PRICE_ID: PRICE,
      STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET,
      STRIPE_API_BASE: `http://127.0.0.1:${this.port}`,
      FRONTEND_URL: frontEndUrl,
    };
  }

  /** The newest checkout. */
  lastCheckout(): { id: string; success_url: string; cancel_url: string } {
    const session = [...this.objects.values()].filter(({ object }) => object === "checkout.session").at(-1);
    if (!session) throw new Error("no checkout was started");
    return session as { id: string; success_url: string; cancel_url: string };
  }

  /** Pays a checkout and delivers its webhook. */
  async payCheckout(id: string, serverUrl: string): Promise<void> {
    await this.deliver("checkout.session.completed", this.completeCheckout(id), serverUrl);
  }

  /** Pays a checkout, as if its webhook was lost. */
  completeCheckout(id: string): Json {
    const session = this.objects.get(id);
    if (!session) throw new Error(`no checkout ${id}`);
    const now = Math.floor(Date.now() / 1000);
    const subscription = this.add("sub", "subscription", {
      status: "active",
      customer: session.customer,
      created: now,
      cancel_at: null,
      cancel_at_period_end: false,
      canceled_at: null,
      ended_at: null,
      collection_method: "charge_automatically",
      currency: "usd",
      livemode: false,
      metadata: {},
      items: {
        object: "list",
        has_more: false,
        data: [
          {
            id: "si_1",
            object: "subscription_item",
            quantity: 1,
            current_period_start: now,
            current_period_end: now + PERIOD_SECONDS,
            price: PRICE_FIELDS,
          },
        ],
      },
    });
    Object.assign(session, { status: "complete", payment_status: "paid", url: null, subscription: subscription.id });
    return session;
  }

  private async deliver(type: string, object: Json, serverUrl: string): Promise<void> {
    const created = Math.floor(Date.now() / 1000);
    const event = this.add("evt", "event", {
      type,
      created,
      api_version: "2025-03-31.basil",
      livemode: false,
      pending_webhooks: 1,
      request: { id: null, idempotency_key: null },
      data: { object },
    });
    const body = JSON.stringify(event);
    const signature = createHmac("sha256", WEBHOOK_SECRET).update(`${created}.${body}`).digest("hex");
    const headers = { "content-type": "application/json", "stripe-signature": `t=${created},v1=${signature}` };
    const response = await fetch(`${serverUrl}/webhook/stripe`, { method: "POST", headers, body });
    if (!response.ok) throw new Error(`the webhook was rejected: ${response.status} ${await response.text()}`);
  }

  private respond(request: IncomingMessage, form: URLSearchParams): { status: number; json: unknown } {
    const url = new URL(request.url ?? "/", "http://stripe");
    const [, , resource = "", second, third] = url.pathname.split("/");
    const ok = (json: unknown) => ({ status: 200, json });
    if (request.headers.authorization !== `Bearer ${SECRET_KEY}`) return failure(401, "Invalid API Key provided");
    const path = `${request.method ?? "GET"} ${resource}`;
    if (path === "POST customers" && second === undefined) return ok(this.add("cus", "customer", Object.fromEntries(form)));
    if (path === "POST billing_portal")
      return ok(this.add("bps", "billing_portal.session", { url: `${CHECKOUT_HOST}/portal` }));
    if (path === "POST checkout" && second === "sessions" && third === undefined) return ok(this.addCheckout(form));
    if (path === "GET subscriptions") return ok(this.list("subscription", url.searchParams.get("customer")));
    if (path === "GET invoices") return ok({ object: "list", has_more: false, data: [] });
    if (path === "GET prices") return ok({ ...PRICE_FIELDS, recurring: { interval: "month", interval_count: 1 } });
    const object = this.objects.get(third ?? second ?? "");
    return object ? ok(object) : failure(404, "No such object");
  }

  private addCheckout(form: URLSearchParams): Json {
    const session = this.add("cs_test", "checkout.session", {
      mode: "subscription",
      status: "open",
      payment_status: "unpaid",
      customer: form.get("customer"),
      livemode: false,
      client_reference_id: form.get("client_reference_id"),
      success_url: form.get("success_url"),
      cancel_url: form.get("cancel_url"),
      subscription: null,
    });
    session.url = `${CHECKOUT_HOST}/c/pay/${String(session.id)}`;
    return session;
  }

  private add(prefix: string, object: string, fields: Json): Json {
    const created = { id: `${prefix}_${++this.lastId}`, object, ...fields };
    this.objects.set(created.id, created);
    return created;
  }

  private list(object: string, customer: string | null) {
    const data = [...this.objects.values()].filter((one) => one.object === object && one.customer === customer);
    return { object: "list", has_more: false, data };
  }
}

const failure = (status: number, message: string) => ({
  status,
  json: { error: { type: "invalid_request_error", message } },
});

async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const part of request.setEncoding("utf8")) body += String(part);
  return body;
}
