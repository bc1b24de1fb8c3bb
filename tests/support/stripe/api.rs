//! The HTTP API of the fake Stripe.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, RawQuery, Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};

use super::{Account, Fault, PRICE, PRODUCT, SECRET_KEY};

pub fn routes(account: Arc<Account>) -> Router {
    Router::new()
        .route("/v1/customers", post(create_customer))
        .route("/v1/customers/{id}", delete(delete_customer).post(update_customer))
        .route("/v1/checkout/sessions", post(create_session))
        .route("/v1/checkout/sessions/{id}", get(retrieve_session))
        .route("/v1/checkout/sessions/{id}/expire", post(expire_session))
        .route("/v1/billing_portal/sessions", post(create_portal_session))
        .route("/v1/subscriptions", get(list_subscriptions))
        .route("/v1/subscriptions/{id}", delete(cancel_subscription))
        .route("/v1/prices/{id}", get(retrieve_price))
        .route("/v1/charges/{id}", get(retrieve_charge))
        .route("/v1/invoices", get(list_invoices))
        .route("/v1/events/{id}", get(retrieve_event))
        .layer(middleware::from_fn_with_state(account.clone(), handle_call))
        .with_state(account)
}

fn error_response(status: u16, message: &str) -> Response {
    let kind = match status {
        429 => "rate_limit_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error": {"type": kind, "message": message}}).to_string();
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

/// Wraps every call: records it, injects the next queued fault, checks the secret key, and repeats the stored response of a known
/// idempotency key.
async fn handle_call(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 100_000).await.unwrap();
    let input = match parts.method {
        Method::GET => parts.uri.query().unwrap_or_default().to_owned(),
        _ => String::from_utf8(body.to_vec()).unwrap(),
    };
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let key = header("idempotency-key").filter(|_| parts.method == Method::POST);
    let fault = {
        let mut state = account.state.lock().unwrap();
        state.calls.push((format!("{} {}", parts.method, parts.uri.path()), input.clone()));
        state.faults.pop_front()
    };
    account.called.notify_waiters();
    if account.is_down.load(Ordering::SeqCst) {
        return error_response(503, "Stripe is down");
    }
    let mut response_gate = None;
    match fault {
        Some(Fault::Status(status)) => {
            // Stripe stores the response of each call that has begun to execute, even of one that fails. The fake counts only
            // status 500 as such a failure; with the other statuses, a call is rejected before it executes.
            if let (Some(key), 500) = (key, status) {
                account.state.lock().unwrap().responses.insert(key, json!({ "fault": 500 }));
            }
            return error_response(status, "injected fault");
        }
        Some(Fault::Html) => return (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        Some(Fault::DelayProcessing(gate)) => gate.pass().await,
        Some(Fault::DelayResponse(gate)) => response_gate = Some(gate),
        None => {}
    }
    if header("authorization") != Some(format!("Bearer {SECRET_KEY}")) {
        return error_response(401, "Invalid API Key provided");
    }
    assert!(header("stripe-version").is_some(), "the call must name the API version");
    if let Some(key) = &key {
        match account.state.lock().unwrap().responses.entry(key.clone()).or_insert(Value::Null) {
            // While the first call with a key runs, Stripe rejects other calls with the same key.
            stored if stored.is_null() => *stored = json!("running"),
            stored if stored == "running" => {
                return error_response(409, "Another request uses this idempotency key");
            }
            stored if stored["fault"] == 500 => return error_response(500, "repeated fault"),
            stored => {
                assert_eq!(stored["input"], input, "an idempotency key was reused for another request");
                return axum::Json(stored["response"].clone()).into_response();
            }
        }
    }
    let response = next.run(Request::from_parts(parts, body.into())).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1_000_000).await.unwrap();
    if let Some(gate) = response_gate {
        gate.pass().await;
    }
    if let Some(key) = key {
        let mut state = account.state.lock().unwrap();
        if status.is_success() {
            let response: Value = serde_json::from_slice(&body).unwrap();
            state.responses.insert(key, json!({"input": input, "response": response}));
        } else {
            state.responses.remove(&key);
        }
    }
    (status, body).into_response()
}

/// The error for a parameter that names an object that does not exist.
fn not_found(status: u16, param: &str) -> Response {
    let error = json!({"type": "invalid_request_error", "code": "resource_missing", "param": param,
        "message": format!("No such {param}")});
    (StatusCode::from_u16(status).unwrap(), json!({ "error": error }).to_string()).into_response()
}

/// An error if the customer of the form does not exist.
fn check_customer(account: &Account, form: &HashMap<String, String>) -> Option<Response> {
    let state = account.state.lock().unwrap();
    let exists = state.customers.iter().any(|customer| customer["id"] == form["customer"].as_str());
    (!exists).then(|| not_found(400, "customer"))
}

fn form(body: &Bytes) -> HashMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

async fn create_customer(State(account): State<Arc<Account>>, body: Bytes) -> Response {
    let form = form(&body);
    let customer = json!({"id": account.new_id("cus"), "object": "customer", "phone": form.get("phone"),
        "email": form.get("email"), "name": form.get("name"),
        "metadata": {"user_id": form["metadata[user_id]"]}});
    account.state.lock().unwrap().customers.push(customer.clone());
    axum::Json(customer).into_response()
}

async fn update_customer(
    State(account): State<Arc<Account>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let form = form(&body);
    let mut state = account.state.lock().unwrap();
    let Some(customer) = state.customers.iter_mut().find(|customer| customer["id"] == id.as_str()) else {
        return not_found(404, "id");
    };
    for name in ["email", "name"] {
        let value = form.get(name).filter(|value| !value.is_empty());
        customer[name] = json!(value);
    }
    axum::Json(customer.clone()).into_response()
}

async fn cancel_subscription(State(account): State<Arc<Account>>, Path(id): Path<String>) -> Response {
    let mut state = account.state.lock().unwrap();
    let Some(subscription) =
        state.subscriptions.iter_mut().find(|subscription| subscription["id"] == id.as_str())
    else {
        return not_found(404, "id");
    };
    subscription["status"] = json!("canceled");
    axum::Json(subscription.clone()).into_response()
}

async fn retrieve_price(Path(id): Path<String>) -> Response {
    if id != PRICE {
        return not_found(404, "price");
    }
    let recurring = json!({"interval": "month", "interval_count": 1, "usage_type": "licensed"});
    axum::Json(json!({
        "id": id, "object": "price", "type": "recurring", "product": PRODUCT, "active": true,
        "currency": "eur", "unit_amount": 1900, "recurring": recurring,
    }))
    .into_response()
}

async fn retrieve_charge(State(account): State<Arc<Account>>, Path(id): Path<String>) -> Response {
    match account.state.lock().unwrap().charges.get(&id) {
        Some(customer) => {
            axum::Json(json!({"id": id, "object": "charge", "customer": customer})).into_response()
        }
        None => not_found(404, "id"),
    }
}

/// Deletes a customer and cancels its subscriptions.
async fn delete_customer(State(account): State<Arc<Account>>, Path(id): Path<String>) -> Response {
    let mut state = account.state.lock().unwrap();
    let count_before = state.customers.len();
    state.customers.retain(|customer| customer["id"] != id.as_str());
    if state.customers.len() == count_before {
        return not_found(404, "id");
    }
    for subscription in
        state.subscriptions.iter_mut().filter(|subscription| subscription["customer"] == id.as_str())
    {
        subscription["status"] = json!("canceled");
    }
    axum::Json(json!({"id": id, "object": "customer", "deleted": true})).into_response()
}

async fn create_session(State(account): State<Arc<Account>>, body: Bytes) -> Response {
    let form = form(&body);
    if let Some(error) = check_customer(&account, &form) {
        return error;
    }
    if form["line_items[0][price]"] != PRICE || form["mode"] != "subscription" {
        return error_response(400, "No such price");
    }
    let id = account.new_id("cs_test");
    let session = json!({
        "id": id, "object": "checkout.session", "mode": "subscription", "status": "open", "payment_status": "unpaid",
        "url": format!("https://checkout.stripe.test/c/pay/{id}"), "customer": form["customer"], "livemode": false,
        "client_reference_id": form["client_reference_id"], "success_url": form["success_url"],
        "cancel_url": form["cancel_url"], "subscription": null,
    });
    account.state.lock().unwrap().sessions.insert(id, session.clone());
    axum::Json(session).into_response()
}

async fn retrieve_session(State(account): State<Arc<Account>>, Path(id): Path<String>) -> Response {
    match account.state.lock().unwrap().sessions.get(&id) {
        Some(session) => axum::Json(session.clone()).into_response(),
        None => not_found(404, "session"),
    }
}

async fn expire_session(State(account): State<Arc<Account>>, Path(id): Path<String>) -> Response {
    let mut state = account.state.lock().unwrap();
    let Some(session) = state.sessions.get_mut(&id) else { return not_found(404, "session") };
    if session["status"] != "open" {
        return error_response(400, "Only Checkout Sessions with a status in [\"open\"] can be expired.");
    }
    session["status"] = json!("expired");
    axum::Json(session.clone()).into_response()
}

async fn create_portal_session(State(account): State<Arc<Account>>, body: Bytes) -> Response {
    let form = form(&body);
    if let Some(error) = check_customer(&account, &form) {
        return error;
    }
    let id = account.new_id("bps");
    let url = format!("https://billing.stripe.test/p/session/{id}?return={}", form["return_url"]);
    axum::Json(
        json!({"id": id, "object": "billing_portal.session", "customer": form["customer"], "url": url}),
    )
    .into_response()
}

async fn list_subscriptions(State(account): State<Arc<Account>>, RawQuery(query): RawQuery) -> Response {
    let parameters = form(&Bytes::from(query.unwrap_or_default()));
    let includes_canceled = parameters.get("status").is_some_and(|status| status == "all");
    let state = account.state.lock().unwrap();
    let is_listed = |subscription: &&Value| {
        subscription["customer"] == parameters["customer"].as_str()
            && (includes_canceled || subscription["status"] != "canceled")
    };
    // Stripe lists the newest first.
    list(state.subscriptions.iter().filter(is_listed).rev().cloned().collect())
}

/// Lists one open invoice, created at the start of the subscription's current period.
async fn list_invoices(State(account): State<Arc<Account>>, RawQuery(query): RawQuery) -> Response {
    let parameters = form(&Bytes::from(query.unwrap_or_default()));
    assert_eq!(parameters["status"], "open");
    let state = account.state.lock().unwrap();
    let is_requested = |subscription: &&Value| subscription["id"] == parameters["subscription"].as_str();
    let subscription = state.subscriptions.iter().find(is_requested).unwrap();
    let period_start = subscription["items"]["data"][0]["current_period_start"].clone();
    list(vec![json!({"id": "in_open", "object": "invoice", "status": "open", "created": period_start})])
}

/// A list as Stripe's API returns it.
fn list(data: Vec<Value>) -> Response {
    axum::Json(json!({"object": "list", "has_more": false, "data": data})).into_response()
}

async fn retrieve_event(State(account): State<Arc<Account>>, Path(id): Path<String>) -> Response {
    match account.state.lock().unwrap().events.get(&id) {
        Some(event) => axum::Json(event.clone()).into_response(),
        None => not_found(404, "id"),
    }
}
