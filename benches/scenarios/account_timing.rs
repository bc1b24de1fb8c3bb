//! Whether the response time of sendOtp, login and forgotPassword reveals that a phone number is registered. In each round, one
//! number is registered and two are not. The difference between the two unregistered numbers is the noise of the measurement.

use std::time::Instant;

use serde_json::json;

use crate::{
    installation::Installation,
    latencies::median,
    report::Section,
    support::{
        TestUser,
        accounts::{CHANGE_PASSWORD, PASSWORD},
        code_of,
        user::SEND_OTP,
    },
};

const ROUNDS: usize = 150;
/// Which of the three numbers of a round is registered.
const REGISTERED: usize = 0;
/// Which of them are not registered.
const UNREGISTERED: [usize; 2] = [1, 2];
const LOGIN: &str = "mutation($phone: PhoneNumber!) {
    login(input: { phoneNumber: $phone, password: \"wrong horse\" }) { accessToken }
}";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    let anonymous = TestUser::anonymous(servers.address());
    let phone = |round: usize, index: usize| format!("+1415{}", 2_000_000 + 3 * round + index);
    // The registered number of each round belongs to a user with a password. Each of the three numbers is sent one code.
    for round in 0..ROUNDS {
        let registered = anonymous.sign_in_as(&phone(round, REGISTERED)).await;
        registered.data(CHANGE_PASSWORD, json!({ "new": PASSWORD })).await;
        for index in UNREGISTERED {
            anonymous.data(SEND_OTP, json!({"phone": phone(round, index)})).await;
        }
    }
    let request_code = |field| {
        format!(
            "mutation($phone: PhoneNumber!) {{ {field}(input: {{ phoneNumber: $phone }}) {{ resendAt }} }}"
        )
    };
    let random = &mut fastrand::Rng::with_seed(6);
    for (name, query) in [
        ("sendOtp", request_code("sendOtp")),
        ("login", LOGIN.to_owned()),
        ("forgotPassword", request_code("forgotPassword")),
    ] {
        // The response times of each round, in microseconds.
        let mut rounds = vec![[0.0; 3]; ROUNDS];
        for (round, times) in rounds.iter_mut().enumerate() {
            let mut order = [REGISTERED, UNREGISTERED[0], UNREGISTERED[1]];
            random.shuffle(&mut order);
            for index in order {
                let started = Instant::now();
                let response = anonymous.execute(&query, json!({"phone": phone(round, index)})).await;
                times[index] = started.elapsed().as_secs_f64() * 1e6;
                assert!(["no error", "UNAUTHENTICATED"].contains(&code_of(&response)), "{response}");
            }
        }
        let median_of = |value: fn(&[f64; 3]) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
        section.add(&format!("{name}, registered"), "µs", median_of(|times| times[REGISTERED]));
        let [difference, noise] = [
            median_of(|times| times[REGISTERED] - times[UNREGISTERED[0]]),
            median_of(|times| times[UNREGISTERED[1]] - times[UNREGISTERED[0]]),
        ];
        section.add(&format!("{name}, registered minus unregistered"), "µs", difference);
        section.add(&format!("{name}, unregistered minus unregistered"), "µs", noise);
    }
    servers.stop().await;
}
