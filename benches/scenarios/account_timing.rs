//! Whether the response time of sendOtp, login and forgotPassword reveals that a phone number is registered. In each round one
//! number is registered and two are not. The difference between the two is the noise.

use std::time::Instant;

use serde_json::json;

use crate::{
    installation::Installation,
    latencies::median,
    report::Section,
    support::{TestUser, accounts::CHANGE, accounts::PASSWORD, code_of, user::SEND_OTP},
};

const ROUNDS: usize = 150;
/// The positions of the registered and the two unregistered numbers of a round.
const KNOWN: usize = 0;
const UNKNOWN: [usize; 2] = [1, 2];
const LOGIN: &str = "mutation($phone: PhoneNumber!) {
    login(input: { phoneNumber: $phone, password: \"wrong horse\" }) { accessToken }
}";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    let anonymous = TestUser::anonymous(servers.address());
    let phone = |round: usize, which: usize| format!("+1415{}", 2_000_000 + 3 * round + which);
    // In each round one number gets a user with a password. All three numbers receive one code.
    for round in 0..ROUNDS {
        let known = anonymous.sign_in_as(&phone(round, KNOWN)).await;
        known.data(CHANGE, json!({ "new": PASSWORD })).await;
        for which in UNKNOWN {
            anonymous.data(SEND_OTP, json!({"phone": phone(round, which)})).await;
        }
    }
    let code = |field| {
        format!(
            "mutation($phone: PhoneNumber!) {{ {field}(input: {{ phoneNumber: $phone }}) {{ resendAt }} }}"
        )
    };
    let random = &mut fastrand::Rng::with_seed(6);
    for (name, query) in [
        ("sendOtp", code("sendOtp")),
        ("login", LOGIN.to_owned()),
        ("forgotPassword", code("forgotPassword")),
    ] {
        let mut took = vec![[0.0; 3]; ROUNDS];
        for (round, took) in took.iter_mut().enumerate() {
            let mut order = [KNOWN, UNKNOWN[0], UNKNOWN[1]];
            random.shuffle(&mut order);
            for which in order {
                let started = Instant::now();
                let response = anonymous.execute(&query, json!({"phone": phone(round, which)})).await;
                took[which] = started.elapsed().as_secs_f64() * 1e6;
                assert!(["no error", "UNAUTHENTICATED"].contains(&code_of(&response)), "{response}");
            }
        }
        let median_of = |value: fn(&[f64; 3]) -> f64| median(&took.iter().map(value).collect::<Vec<_>>());
        section.add(&format!("{name}, registered"), "µs", median_of(|took| took[KNOWN]));
        let [difference, noise] = [
            median_of(|took| took[KNOWN] - took[UNKNOWN[0]]),
            median_of(|took| took[UNKNOWN[1]] - took[UNKNOWN[0]]),
        ];
        section.add(&format!("{name}, registered minus unregistered"), "µs", difference);
        section.add(&format!("{name}, unregistered minus unregistered"), "µs", noise);
    }
    servers.stop().await;
}
