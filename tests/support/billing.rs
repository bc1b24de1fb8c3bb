//! Servers with billing, and users who buy.

use pollux::clock::Clock;
use serde_json::{Value, json};

use super::{TestApp, TestUser, app::Wishes, code_of, stripe::is_customer};

pub const START: &str =
    "mutation($input: StartCheckoutInput) { startCheckout(input: $input) { url sessionId } }";
pub const STATUS: &str = "query($id: String!) { checkoutStatus(sessionId: $id) }";
pub const ACCOUNT: &str = "subscription { accountEvents {
    subscription { tier state currentPeriodEnd cancelAtPeriodEnd } usage { used limit }
} }";
pub const NOON: &str = "2026-11-21T12:00:00Z";

pub async fn selling() -> TestApp {
    TestApp::with(Wishes { sells: true, ..Wishes::default() }).await
}

pub async fn selling_at(clock: Clock, settings: &[&str]) -> TestApp {
    TestApp::with(Wishes { sells: true, clock: Some(clock), settings, ..Wishes::default() }).await
}

/// Somebody who is a customer, and the customer's id.
pub async fn customer(app: &TestApp) -> (TestUser, String) {
    let user = app.user().await;
    let id = format!("cus_{}", user.id);
    is_customer(app.chat.db.write(), user.id.parse().unwrap(), &id, app.clock.now()).await;
    (user, id)
}

impl TestUser {
    pub async fn start_checkout(&self, input: Value) -> Result<String, Value> {
        let mut answer = self.ask_api(START, json!({ "input": input })).await;
        if answer.get("errors").is_some() {
            return Err(answer);
        }
        Ok(answer["data"]["startCheckout"]["sessionId"].take().as_str().unwrap().to_owned())
    }

    pub async fn checkout_status(&self, session: &str) -> String {
        let data = self.data(STATUS, json!({ "id": session })).await;
        data["checkoutStatus"].as_str().unwrap().to_owned()
    }

    pub async fn subscription(&self) -> Value {
        let query = "{ subscriptionStatus { tier state currentPeriodEnd cancelAtPeriodEnd } }";
        self.data(query, json!({})).await["subscriptionStatus"].take()
    }
}

/// Somebody uses up the day, buys Pro on one node, sees it on another and goes on.
pub async fn buy_and_talk(buys_on: &TestApp, watches_on: &TestApp) {
    let user = buys_on.user().await;
    let room = user.room("x").await;
    for _ in 0..20 {
        user.read(&room.ask("hi").await.reply).await;
    }
    let refused = room.try_ask(json!({"content": "one more"})).await.unwrap_err();
    assert_eq!(code_of(&refused), "QUOTA_EXCEEDED");
    assert_eq!(refused["errors"][0]["extensions"]["upgradeable"], true);

    let mut watching = TestUser { address: watches_on.address, ..user.clone() }.socket().await;
    watching.subscribe("account", ACCOUNT, &json!({})).await;
    let account = |message: Value| message["payload"]["data"]["accountEvents"].clone();
    let before = account(watching.next().await.unwrap());
    assert_eq!(before["subscription"]["tier"], "BASIC");
    assert_eq!(before["usage"], json!({"used": 20, "limit": 20}));

    let session = user.start_checkout(Value::Null).await.unwrap();
    let (_, events) = buys_on.stripe.pay(&session);
    for event in &events {
        assert_eq!(buys_on.stripe.tell(&user.http, buys_on.address, event).await, 200);
    }
    let after = account(watching.next().await.unwrap());
    assert_eq!(
        (&after["subscription"]["tier"], &after["subscription"]["state"]),
        (&json!("PRO"), &json!("ACTIVE"))
    );
    assert_eq!(after["usage"], json!({"used": 20, "limit": null}));
    let asked = room.ask("one more").await;
    assert_eq!(asked.used, 21);
    assert_eq!(user.read(&asked.reply).await.text, "Yes.");
    assert_eq!(user.checkout_status(&session).await, "COMPLETE");
}
