//! Random histories: a user's devices, one on each node, change chatrooms at random, while copies of the chatrooms and of their
//! list are updated by events. The copies lose their connections at random. In the end, each copy must equal a fresh read.

use std::time::Duration;

use futures_util::future::join_all;
use pollux::config::Role;
use serde_json::{Value, json};

use crate::support::{
    Backend, Script, TestApp, TestUser, chatroom_copy::ChatroomCopy, code_of, list_copy::ListCopy,
    user::TestChatroom,
};

/// How many histories run; `POLLUX_TEST_HISTORIES` changes it.
const HISTORIES: u64 = 200;
/// How many histories run concurrently, each for its own user.
const CONCURRENT: u64 = 10;
/// The number of steps of a history.
const STEPS: usize = 8;
/// The seed of the first history; `POLLUX_TEST_SEED` changes it.
const FIRST_SEED: u64 = 1;

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The random number generator SplitMix64. A history can be repeated by its seed.
struct Random(u64);

impl Random {
    /// Returns a number from 0 to `end - 1`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Returns true in one of `count` cases.
    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A mutation and its variables.
type Operation = (&'static str, Value);

/// A chatroom, the copy that follows it, and the messages and replies that were sent to it.
struct FollowedChatroom {
    id: String,
    copy: ChatroomCopy,
    messages: Vec<String>,
    replies: Vec<String>,
}

struct History {
    seed: u64,
    random: Random,
    /// The same user, once on every node.
    devices: Vec<TestUser>,
    chatrooms: Vec<FollowedChatroom>,
    list: ListCopy,
}

impl History {
    async fn begin(nodes: &[&TestApp], seed: u64) -> Self {
        let user = nodes[0].user().await;
        let devices: Vec<_> =
            nodes.iter().map(|node| TestUser { address: node.address, ..user.clone() }).collect();
        let list = ListCopy::follow(&devices[0]).await;
        let mut history = Self { seed, random: Random(seed), devices, chatrooms: Vec::new(), list };
        history.create_chatroom().await;
        history.send(0).await;
        history
    }

    async fn create_chatroom(&mut self) {
        let TestChatroom { user, id } =
            self.random.choose(&self.devices).create_chatroom_with(json!({})).await;
        let copy = ChatroomCopy::read(&user, &id).await;
        let (messages, replies) = Default::default();
        self.chatrooms.push(FollowedChatroom { id, copy, messages, replies });
    }

    async fn send(&mut self, chatroom: usize) {
        let id = self.chatrooms[chatroom].id.clone();
        let operation = (
            "mutation($id: ID!) { change: sendMessage(input: {chatroomId: $id, content: \"hi\"}) {
                message { id } reply { id } } }",
            json!({ "id": id }),
        );
        self.run(chatroom, vec![operation]).await;
    }

    /// Runs one operation, or two concurrent ones, in a random chatroom. Then lets random copies apply events or reconnect.
    async fn step(&mut self) {
        if self.random.one_in(10) {
            self.create_chatroom().await;
        }
        let chatroom = self.random.below(self.chatrooms.len());
        let count = 1 + usize::from(self.random.one_in(3));
        let operations = (0..count).map(|_| self.random_operation(chatroom)).collect();
        self.run(chatroom, operations).await;
        for followed in &mut self.chatrooms {
            if self.random.one_in(3) {
                followed.copy.apply_ready().await;
            }
            if self.random.one_in(4) {
                followed.copy.reconnect(self.random.choose(&self.devices)).await;
            }
        }
        if self.random.one_in(3) {
            self.list.apply_ready().await;
        }
        if self.random.one_in(4) {
            self.list.reconnect(self.random.choose(&self.devices)).await;
        }
    }

    /// Returns a random operation in a chatroom. More common operations are listed more than once.
    fn random_operation(&mut self, chatroom: usize) -> Operation {
        let followed = &self.chatrooms[chatroom];
        let (id, random) = (&followed.id, &mut self.random);
        if followed.messages.is_empty() || random.one_in(4) {
            return (
                "mutation($id: ID!) { change: sendMessage(input: {chatroomId: $id, content: \"and\"}) {
                    message { id } reply { id } } }",
                json!({ "id": id }),
            );
        }
        let (message, reply) = (random.choose(&followed.messages), random.choose(&followed.replies));
        let message_or_reply = if random.one_in(2) { message } else { reply };
        let edit = "mutation($id: ID!) { change: editMessage(input: {messageId: $id, content: \"edited\"}) {
            message { id } reply { id } } }";
        let select =
            "mutation($id: ID!) { change: selectAlternative(input: { messageId: $id }) { chatroom { id } } }";
        let operations = [
            (edit, message),
            (edit, message),
            (select, message_or_reply),
            (select, message_or_reply),
            (
                "mutation($id: ID!) { change: regenerateReply(input: { messageId: $id }) { message { id } reply { id } } }",
                reply,
            ),
            ("mutation($id: ID!) { change: stopReply(input: { messageId: $id }) { message { id } } }", reply),
            (
                "mutation($id: ID!) { change: rateReply(input: { messageId: $id, feedback: UP }) { message { id } } }",
                reply,
            ),
            (
                "mutation($id: ID!) { change: updateChatroom(input: {id: $id, title: \"renamed\"}) { chatroom { id } } }",
                id,
            ),
            (
                "mutation($id: ID!) { change: updateChatroom(input: {id: $id, pinned: true}) { chatroom { id } } }",
                id,
            ),
            (
                "mutation($id: ID!) { change: updateChatroom(input: {id: $id, archived: true}) { chatroom { id } } }",
                id,
            ),
            ("mutation($id: ID!) { change: deleteChatroom(input: { id: $id }) { deletedId } }", id),
        ];
        let (query, id) = random.choose(&operations);
        (query, json!({ "id": id }))
    }

    /// Runs the operations concurrently, each on a random device, and records the sent messages.
    async fn run(&mut self, chatroom: usize, operations: Vec<Operation>) {
        let running = operations.into_iter().map(|(query, variables)| {
            let device = self.random.choose(&self.devices).clone();
            async move { device.execute(query, variables).await }
        });
        let running: Vec<_> = running.collect();
        for response in join_all(running).await {
            let code = code_of(&response);
            assert!(["no error", "CONFLICT", "NOT_FOUND"].contains(&code), "seed {}: {response}", self.seed);
            let change = &response["data"]["change"];
            if let (Some(message), Some(reply)) =
                (change["message"]["id"].as_str(), change["reply"]["id"].as_str())
            {
                self.chatrooms[chatroom].messages.push(message.to_owned());
                self.chatrooms[chatroom].replies.push(reply.to_owned());
            }
        }
    }

    async fn catch_up(&mut self) {
        // If a copy does not catch up, this is the seed that repeats the history.
        println!("history with seed {}", self.seed);
        for followed in &mut self.chatrooms {
            followed.copy.catch_up().await;
        }
        self.list.catch_up().await;
    }
}

#[tokio::test]
async fn after_a_random_history_every_copy_equals_a_fresh_read() {
    let settings = ["--rate-limits=off", "--basic-daily-limit=100000"];
    let app = TestApp::with_settings(&settings).await;
    app.gemini.respond_with(|_| {
        Script::new().text("One, ").pause(Duration::from_millis(5)).text("two").finish("STOP")
    });
    let second_node =
        if Backend::servers().is_some() { Some(app.add_node(Role::All, &settings).await) } else { None };
    let nodes: Vec<&TestApp> = [&app].into_iter().chain(&second_node).collect();
    let first_seed = number_from_environment("POLLUX_TEST_SEED", FIRST_SEED);
    let end_seed = first_seed + number_from_environment("POLLUX_TEST_HISTORIES", HISTORIES);
    for batch_start in (first_seed..end_seed).step_by(usize::try_from(CONCURRENT).unwrap()) {
        let seeds = batch_start..end_seed.min(batch_start + CONCURRENT);
        let histories = seeds.map(async |seed| {
            let mut history = History::begin(&nodes, seed).await;
            for _ in 0..STEPS {
                history.step().await;
            }
            history
        });
        let histories = join_all(histories).await;
        app.wait_until_idle().await;
        for mut history in histories {
            history.catch_up().await;
        }
    }
    for node in [Some(app), second_node].into_iter().flatten() {
        node.stop().await;
    }
}
