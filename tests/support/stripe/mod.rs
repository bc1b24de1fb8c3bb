//! A fake Stripe: an HTTP server that stores customers, checkouts and subscriptions, responds in Stripe's format, injects
//! the faults that a test enqueues, and creates signed webhook events.

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

use super::{Gate, socket::TEST_TIMEOUT};

pub use customers::{insert_customer, insert_customers};

pub const SECRET_KEY: &str = "sk_test_stand_in";
pub const WEBHOOK_SECRET: &str = "whsec_stand_in";
pub const PRICE: &str = "price_pro";
/// The product to which [`PRICE`] belongs.
pub const PRODUCT: &str = "prod_pro";
pub const FRONTEND: &str = "https://chat.example";

/// A fault of one call.
#[derive(Clone)]
pub enum Fault {
    /// The response has this status, and the call is not processed.
    Status(u16),
    /// The call is processed only after the gate has opened.
    DelayProcessing(Gate),
    /// The call is processed at once, and its response is sent after the gate has opened.
    DelayResponse(Gate),
    /// The response is an HTML page, as from a proxy.
    Html,
}

pub struct FakeStripe {
    pub address: SocketAddr,
    account: Arc<Account>,
    server: JoinHandle<()>,
}

struct Account {
    clock: Clock,
    next_id: AtomicU64,
    is_down: AtomicBool,
    /// Notifies waiters of each call.
    called: Notify,
    state: Mutex<AccountState>,
}

#[derive(Default)]
struct AccountState {
    customers: Vec<Value>,
    sessions: HashMap<String, Value>,
    subscriptions: Vec<Value>,
    events: HashMap<String, Value>,
    /// The customer of each charge.
    charges: HashMap<String, String>,
    /// The stored response of each idempotency key.
    responses: HashMap<String, Value>,
    faults: VecDeque<Fault>,
    /// All calls: method and path, and the form or query.
    calls: Vec<(String, String)>,
}

impl FakeStripe {
    pub async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let account = Arc::new(Account {
            clock,
            next_id: AtomicU64::new(1),
            is_down: AtomicBool::default(),
            called: Notify::default(),
            state: Mutex::default(),
        });
        let routes = api::routes(account.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, account, server }
    }

    /// The settings of a Pollux server that uses this Stripe.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
            ("STRIPE_PRO_PRICE_ID", PRICE.to_owned()),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
            ("STRIPE_API_BASE", format!("http://{}", self.address)),
            ("FRONTEND_URL", FRONTEND.to_owned()),
        ]
    }

    /// Queues a fault. Each call takes the oldest queued fault.
    pub fn enqueue_fault(&self, fault: Fault) {
        self.account.state.lock().unwrap().faults.push_back(fault);
    }

    /// Adds a customer.
    pub fn add_customer(&self, customer: &str) {
        let customer = json!({"id": customer, "object": "customer"});
        self.account.state.lock().unwrap().customers.push(customer);
    }

    /// Removes a customer and its checkouts, as if the customer had been deleted or belonged to test mode.
    pub fn remove_customer(&self, customer: &str) {
        let mut state = self.account.state.lock().unwrap();
        state.customers.retain(|stored| stored["id"] != customer);
        state.sessions.retain(|_, session| session["customer"] != customer);
    }

    /// Sets whether Stripe is down. While it is, every call fails.
    pub fn set_down(&self, down: bool) {
        self.account.is_down.store(down, Ordering::SeqCst);
    }

    /// Adds a subscription.
    pub fn add_subscription(&self, subscription: Value) {
        self.account.state.lock().unwrap().subscriptions.push(subscription);
    }

    /// Waits until an endpoint, such as `GET /v1/prices`, has received this many calls.
    pub async fn wait_for_calls(&self, endpoint: &str, times: usize) {
        let received = async {
            loop {
                // Created before the calls are counted, so that no call is missed in between.
                let called = self.account.called.notified();
                if self.calls(endpoint).len() >= times {
                    return;
                }
                called.await;
            }
        };
        timeout(TEST_TIMEOUT, received).await.expect("Stripe received too few calls of the endpoint");
    }

    pub fn customers(&self) -> Vec<Value> {
        self.account.state.lock().unwrap().customers.clone()
    }

    /// The forms or queries of all calls that an endpoint, such as `GET /v1/prices`, has received.
    pub fn calls(&self, endpoint: &str) -> Vec<String> {
        let state = self.account.state.lock().unwrap();
        state.calls.iter().filter(|(path, _)| path == endpoint).map(|(_, input)| input.clone()).collect()
    }

    /// The number of checkouts that can still be completed.
    pub fn open_sessions(&self) -> usize {
        let state = self.account.state.lock().unwrap();
        state.sessions.values().filter(|session| session["status"] == "open").count()
    }

    /// Completes a checkout and creates its active subscription. Returns the subscription's id, and the events, which the test
    /// must deliver.
    pub fn complete_checkout(&self, session: &str) -> (String, Vec<Value>) {
        let mut completed = {
            let mut state = self.account.state.lock().unwrap();
            let session = state.sessions.get_mut(session).unwrap();
            session["status"] = json!("complete");
            session["payment_status"] = json!("paid");
            session["url"] = Value::Null;
            session.clone()
        };
        let customer = completed["customer"].as_str().unwrap().to_owned();
        let id = self.create_subscription(&customer, "active");
        completed["subscription"] = json!(id);
        let events = vec![
            self.event("checkout.session.completed", completed),
            self.event("customer.subscription.created", self.subscription(&id)),
            self.event("invoice.paid", self.invoice(&id)),
        ];
        (id, events)
    }

    /// Creates a monthly subscription that starts now, and returns its id.
    pub fn create_subscription(&self, customer: &str, status: &str) -> String {
        let id = self.account.new_id("sub");
        let now = self.account.clock.now();
        let (start, end) = (now.timestamp(), (now + TimeDelta::days(30)).timestamp());
        let subscription = json!({
            "id": id, "object": "subscription", "status": status, "customer": customer, "created": start,
            "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null, "ended_at": null,
            "collection_method": "charge_automatically", "currency": "usd", "livemode": false, "metadata": {},
            "items": {"object": "list", "has_more": false, "url": format!("/v1/subscription_items?subscription={id}"),
                "data": [{"id": self.account.new_id("si"), "object": "subscription_item", "quantity": 1,
                    "current_period_start": start, "current_period_end": end,
                    "price": {"id": PRICE, "object": "price", "product": PRODUCT, "unit_amount": 1000, "currency": "usd"}}]},
            "latest_invoice": self.account.new_id("in"),
        });
        self.account.state.lock().unwrap().subscriptions.push(subscription);
        id
    }

    /// Adds a charge of a customer.
    pub fn add_charge(&self, charge: &str, customer: &str) {
        self.account.state.lock().unwrap().charges.insert(charge.to_owned(), customer.to_owned());
    }

    /// Changes a subscription and returns an event of the given type about it.
    pub fn update_subscription(&self, id: &str, kind: &str, change: impl FnOnce(&mut Value)) -> Value {
        {
            let mut state = self.account.state.lock().unwrap();
            change(state.subscriptions.iter_mut().find(|subscription| subscription["id"] == id).unwrap());
        }
        let object = if kind.starts_with("invoice") { self.invoice(id) } else { self.subscription(id) };
        self.event(kind, object)
    }

    /// The subscription as the API returns it.
    pub fn subscription(&self, id: &str) -> Value {
        let state = self.account.state.lock().unwrap();
        state.subscriptions.iter().find(|subscription| subscription["id"] == id).unwrap().clone()
    }

    fn invoice(&self, subscription: &str) -> Value {
        let customer = self.subscription(subscription)["customer"].clone();
        json!({"id": self.account.new_id("in"), "object": "invoice", "customer": customer, "currency": "usd",
            "parent": {"type": "subscription_details",
                "subscription_details": {"subscription": subscription, "metadata": {}}}})
    }

    /// Creates an event of this type about an object. The test must deliver it.
    pub fn event(&self, kind: &str, object: Value) -> Value {
        let id = self.account.new_id("evt");
        let event = json!({
            "id": id, "object": "event", "type": kind, "created": self.account.clock.now().timestamp(),
            "api_version": "2025-03-31.basil",
            "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
            "data": {"object": object},
        });
        self.account.state.lock().unwrap().events.insert(id, event.clone());
        event
    }

    /// Delivers an event to the webhook and returns the status of the response.
    pub async fn deliver(&self, http: &reqwest::Client, server: SocketAddr, event: &Value) -> u16 {
        let body = event.to_string();
        let signature = sign(&body, self.account.clock.now().timestamp(), WEBHOOK_SECRET);
        post_webhook(http, server, body, &signature).await.0
    }
}

impl Drop for FakeStripe {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Posts a webhook and returns the status and body of the response.
pub async fn post_webhook(
    http: &reqwest::Client,
    server: SocketAddr,
    body: impl Into<reqwest::Body>,
    signature: &str,
) -> (u16, String) {
    let request = http.post(format!("http://{server}/webhook/stripe")).header("stripe-signature", signature);
    let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The header `Stripe-Signature` of a webhook that was sent at this Unix time.
pub fn sign(body: &str, at: i64, secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    let mut signature = format!("t={at},v1=");
    for byte in tag.as_ref() {
        write!(signature, "{byte:02x}").unwrap();
    }
    signature
}

impl Account {
    /// A new id.
    fn new_id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.next_id.fetch_add(1, Ordering::SeqCst))
    }
}
