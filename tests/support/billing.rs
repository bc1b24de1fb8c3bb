//! Servers with billing, and users who buy Pro.

use pollux::clock::Clock;
use serde_json::{Value, json};

use super::{TestApp, TestUser, app::TestOptions, code_of, stripe::insert_customer};

pub const START_CHECKOUT: &str =
    "mutation($input: StartCheckoutInput) { startCheckout(input: $input) { url sessionId } }";
pub const CHECKOUT_STATUS: &str = "query($id: String!) { checkoutStatus(sessionId: $id) }";
pub const ACCOUNT_EVENTS: &str = "subscription { accountEvents {
    subscription { tier state currentPeriodEnd cancelAtPeriodEnd } usage { used limit }
} }";
pub const NOON: &str = "2026-11-21T12:00:00Z";

pub async fn billing_app() -> TestApp {
    TestApp::with(TestOptions { billing: true, ..TestOptions::default() }).await
}

/// A server with billing whose clock is stopped at [`NOON`].
pub async fn billing_app_at_noon() -> TestApp {
    billing_app_with(Clock::stopped(NOON.parse().unwrap()), &[]).await
}

pub async fn billing_app_with(clock: Clock, settings: &[&str]) -> TestApp {
    TestApp::with(TestOptions { billing: true, clock: Some(clock), settings, ..TestOptions::default() }).await
}

/// A new user whose row names a Stripe customer, and the customer's id. The fake Stripe does not have the customer until the test
/// adds it.
pub async fn user_with_customer(app: &TestApp) -> (TestUser, String) {
    let user = app.user().await;
    let id = format!("cus_{}", user.id);
    insert_customer(app.chatrooms.db.write(), user.id.parse().unwrap(), &id, app.clock.now()).await;
    (user, id)
}

impl TestUser {
    pub async fn start_checkout(&self, input: Value) -> Result<String, Value> {
        let mut response = self.execute(START_CHECKOUT, json!({ "input": input })).await;
        if response.get("errors").is_some() {
            return Err(response);
        }
        Ok(response["data"]["startCheckout"]["sessionId"].take().as_str().unwrap().to_owned())
    }

    pub async fn checkout_status(&self, session: &str) -> String {
        let data = self.data(CHECKOUT_STATUS, json!({ "id": session })).await;
        data["checkoutStatus"].as_str().unwrap().to_owned()
    }

    pub async fn subscription(&self) -> Value {
        let query = "{ subscriptionStatus { tier state currentPeriodEnd cancelAtPeriodEnd } }";
        self.data(query, json!({})).await["subscriptionStatus"].take()
    }
}

/// Uses up the daily quota and buys Pro on `buyer_node`, receives the account event on `subscriber_node`, which may be the same
/// node, and sends one more message.
pub async fn buy_pro_after_the_daily_quota(buyer_node: &TestApp, subscriber_node: &TestApp) {
    let user = buyer_node.user().await;
    let chatroom = user.create_chatroom("x").await;
    for _ in 0..20 {
        user.read(&chatroom.send("hi").await.reply).await;
    }
    let error = chatroom.try_send(json!({"content": "one more"})).await.unwrap_err();
    assert_eq!(code_of(&error), "QUOTA_EXCEEDED");
    assert_eq!(error["errors"][0]["extensions"]["upgradeable"], true);

    let mut socket = TestUser { address: subscriber_node.address, ..user.clone() }.socket().await;
    socket.subscribe("account", ACCOUNT_EVENTS, &json!({})).await;
    let account = |message: Value| message["payload"]["data"]["accountEvents"].clone();
    let before = account(socket.next().await.unwrap());
    assert_eq!(before["subscription"]["tier"], "BASIC");
    assert_eq!(before["usage"], json!({"used": 20, "limit": 20}));

    let session = user.start_checkout(Value::Null).await.unwrap();
    let (_, events) = buyer_node.stripe.complete_checkout(&session);
    for event in &events {
        assert_eq!(buyer_node.stripe.deliver(&user.http, buyer_node.address, event).await, 200);
    }
    let after = account(socket.next().await.unwrap());
    assert_eq!(
        (&after["subscription"]["tier"], &after["subscription"]["state"]),
        (&json!("PRO"), &json!("ACTIVE"))
    );
    assert_eq!(after["usage"], json!({"used": 20, "limit": null}));
    let sent = chatroom.send("one more").await;
    assert_eq!(sent.used, 21);
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    assert_eq!(user.checkout_status(&session).await, "COMPLETE");
}
