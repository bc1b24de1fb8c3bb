//! A stand-in for Stripe: a real HTTP server that keeps customers, checkouts and subscriptions, answers in Stripe's shapes,
//! fails when a test wants it to, and tells by signed webhooks what has happened to it.

mod api;
mod customers;

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chrono::TimeDelta;
use pollux::clock::Clock;
use ring::hmac;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::timeout};

use super::{Gate, socket::PATIENCE};

pub use customers::{customers, is_customer};

pub const SECRET_KEY: &str = "sk_test_stand_in";
pub const WEBHOOK_SECRET: &str = "whsec_stand_in";
pub const PRICE: &str = "price_pro";
/// That the price is of.
pub const PRODUCT: &str = "prod_pro";
pub const FRONTEND: &str = "https://chat.example";

/// What a call gets instead of its answer.
#[derive(Clone)]
pub enum Fault {
    Status(u16),
    /// Nothing, until the gate opens.
    Wait(Gate),
    /// The answer as it is now, once the gate opens.
    Late(Gate),
    /// A page that is not Stripe's.
    Html,
}

pub struct Stripe {
    pub address: SocketAddr,
    world: Arc<World>,
    server: JoinHandle<()>,
}

struct World {
    clock: Clock,
    next: AtomicU64,
    down: AtomicBool,
    called: Notify,
    state: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    customers: Vec<Value>,
    sessions: HashMap<String, Value>,
    subscriptions: Vec<Value>,
    events: HashMap<String, Value>,
    /// Each charge's customer.
    charges: HashMap<String, String>,
    answers: HashMap<String, Value>,
    faults: VecDeque<Fault>,
    /// Each call: method, path and form or query.
    calls: Vec<(String, String)>,
}

impl Stripe {
    pub async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(World {
            clock,
            next: AtomicU64::new(1),
            down: AtomicBool::default(),
            called: Notify::default(),
            state: Mutex::default(),
        });
        let routes = api::routes(world.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, world, server }
    }

    /// The environment of a server that sells by this Stripe.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
            ("STRIPE_PRO_PRICE_ID", PRICE.to_owned()),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            ("STRIPE_API_BASE", format!("http://{}", self.address)),
            ("FRONTEND_URL", FRONTEND.to_owned()),
        ]
    }

    /// The next call gets this.
    pub fn fails(&self, fault: Fault) {
        self.world.state.lock().unwrap().faults.push_back(fault);
    }

    /// Has a customer of this id.
    pub fn knows(&self, customer: &str) {
        let customer = json!({"id": customer, "object": "customer"});
        self.world.state.lock().unwrap().customers.push(customer);
    }

    /// Forgets a customer, as when it is deleted or was of test mode.
    pub fn forgets(&self, customer: &str) {
        let mut state = self.world.state.lock().unwrap();
        state.customers.retain(|one| one["id"] != customer);
        state.sessions.retain(|_, one| one["customer"] != customer);
    }

    /// Every call fails while this is so.
    pub fn is_down(&self, down: bool) {
        self.world.down.store(down, Ordering::SeqCst);
    }

    /// Keeps this subscription.
    pub fn has(&self, subscription: Value) {
        self.world.state.lock().unwrap().subscriptions.push(subscription);
    }

    /// Waits for this many calls of this kind.
    pub async fn was_asked(&self, to: &str, times: usize) {
        let asked = async {
            loop {
                let called = self.world.called.notified();
                if self.calls(to).len() >= times {
                    return;
                }
                called.await;
            }
        };
        timeout(PATIENCE, asked).await.expect("Stripe is not asked");
    }

    pub fn customers(&self) -> Vec<Value> {
        self.world.state.lock().unwrap().customers.clone()
    }

    pub fn calls(&self, to: &str) -> Vec<String> {
        let state = self.world.state.lock().unwrap();
        state.calls.iter().filter(|(path, _)| path == to).map(|(_, said)| said.clone()).collect()
    }

    pub fn open_sessions(&self) -> usize {
        let state = self.world.state.lock().unwrap();
        state.sessions.values().filter(|session| session["status"] == "open").count()
    }

    /// Somebody pays: the checkout is complete and its subscription active. The events that tell of it, not yet sent.
    pub fn pay(&self, session: &str) -> (String, Vec<Value>) {
        let mut done = {
            let mut state = self.world.state.lock().unwrap();
            let session = state.sessions.get_mut(session).unwrap();
            session["status"] = json!("complete");
            session["payment_status"] = json!("paid");
            session["url"] = Value::Null;
            session.clone()
        };
        let customer = done["customer"].as_str().unwrap().to_owned();
        let id = self.subscribe(&customer, "active");
        done["subscription"] = json!(id);
        let events = vec![
            self.event("checkout.session.completed", done),
            self.event("customer.subscription.created", self.subscription(&id)),
            self.event("invoice.paid", self.invoice(&id)),
        ];
        (id, events)
    }

    /// A subscription of a month, from now on.
    pub fn subscribe(&self, customer: &str, status: &str) -> String {
        let id = self.world.id("sub");
        let now = self.world.clock.now();
        let (start, end) = (now.timestamp(), (now + TimeDelta::days(30)).timestamp());
        let subscription = json!({
            "id": id, "object": "subscription", "status": status, "customer": customer, "created": start,
            "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null, "ended_at": null,
            "collection_method": "charge_automatically", "currency": "usd", "livemode": false, "metadata": {},
            "items": {"object": "list", "has_more": false, "url": format!("/v1/subscription_items?subscription={id}"),
                "data": [{"id": self.world.id("si"), "object": "subscription_item", "quantity": 1,
                    "current_period_start": start, "current_period_end": end,
                    "price": {"id": PRICE, "object": "price", "product": PRODUCT, "unit_amount": 1000, "currency": "usd"}}]},
            "latest_invoice": self.world.id("in"),
        });
        self.world.state.lock().unwrap().subscriptions.push(subscription);
        id
    }

    /// Has a charge that this customer paid.
    pub fn charged(&self, charge: &str, customer: &str) {
        self.world.state.lock().unwrap().charges.insert(charge.to_owned(), customer.to_owned());
    }

    /// Changes a subscription, and gives the event of this type that tells of it.
    pub fn change(&self, id: &str, kind: &str, change: impl FnOnce(&mut Value)) -> Value {
        {
            let mut state = self.world.state.lock().unwrap();
            change(state.subscriptions.iter_mut().find(|one| one["id"] == id).unwrap());
        }
        let object = if kind.starts_with("invoice") { self.invoice(id) } else { self.subscription(id) };
        self.event(kind, object)
    }

    /// The subscription as the API shows it.
    pub fn subscription(&self, id: &str) -> Value {
        let state = self.world.state.lock().unwrap();
        state.subscriptions.iter().find(|one| one["id"] == id).unwrap().clone()
    }

    fn invoice(&self, subscription: &str) -> Value {
        let customer = self.subscription(subscription)["customer"].clone();
        json!({"id": self.world.id("in"), "object": "invoice", "customer": customer, "currency": "usd",
            "parent": {"type": "subscription_details",
                "subscription_details": {"subscription": subscription, "metadata": {}}}})
    }

    pub fn event(&self, kind: &str, object: Value) -> Value {
        let id = self.world.id("evt");
        let event = json!({
            "id": id, "object": "event", "type": kind, "created": self.world.clock.now().timestamp(),
            "api_version": "2025-03-31.basil",
            "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
            "data": {"object": object},
        });
        self.world.state.lock().unwrap().events.insert(id, event.clone());
        event
    }

    /// Sends an event's webhook and gives the answer's status.
    pub async fn tell(&self, http: &reqwest::Client, server: SocketAddr, event: &Value) -> u16 {
        let body = event.to_string();
        let signature = sign(&body, self.world.clock.now().timestamp(), WEBHOOK_SECRET);
        post_webhook(http, server, body, &signature).await.0
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Posts a webhook; its answer.
pub async fn post_webhook(
    http: &reqwest::Client,
    server: SocketAddr,
    body: impl Into<reqwest::Body>,
    signature: &str,
) -> (u16, String) {
    let request = http.post(format!("http://{server}/webhook/stripe")).header("stripe-signature", signature);
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub fn sign(body: &str, at: i64, secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let mut signature = format!("t={at},v1=");
    for byte in tag.as_ref() {
        write!(signature, "{byte:02x}").unwrap();
    }
    signature
}

impl World {
    fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.next.fetch_add(1, Ordering::SeqCst))
    }
}
