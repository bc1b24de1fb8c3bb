// The input of relay-compiler. This file is not executed.
import { graphql } from "relay-runtime";

export const operations = () => [
  graphql`
    query relayCacheMeQuery {
      me {
        id
        subscription {
          tier
        }
        usage {
          used
          remaining
        }
      }
    }
  `,
  graphql`
    query relayCacheChatroomsQuery {
      chatrooms(first: 20) @connection(key: "Lists_chatrooms") {
        edges {
          node {
            ...relayCacheChatroom @relay(mask: false)
          }
        }
      }
      archived: chatrooms(first: 20, archived: true) @connection(key: "Lists_archived", filters: []) {
        edges {
          node {
            ...relayCacheChatroom @relay(mask: false)
          }
        }
      }
    }
  `,
  graphql`
    fragment relayCacheChatroom on Chatroom {
      id
      title
      pinnedAt
      archivedAt
      updatedAt
    }
  `,
  graphql`
    query relayCacheChatroomQuery($id: ID!) {
      chatroom(id: $id) {
        id
        eventCursor
        messages(last: 50) @connection(key: "Chatroom_messages") {
          edges {
            node {
              ...relayCacheMessage @relay(mask: false)
            }
          }
        }
      }
    }
  `,
  graphql`
    fragment relayCacheMessage on Message {
      id
      role
      content
      status
      isCurrent
      inReplyTo {
        id
      }
    }
  `,
  graphql`
    subscription relayCacheAccountEventsSubscription {
      accountEvents {
        user {
          id
          subscription {
            tier
          }
          usage {
            used
            remaining
          }
        }
      }
    }
  `,
  graphql`
    subscription relayCacheChatroomListEventsSubscription {
      chatroomListEvents {
        change {
          __typename
          ... on ChatroomCreated {
            chatroom {
              ...relayCacheChatroom @relay(mask: false)
            }
          }
          ... on ChatroomUpdated {
            chatroom {
              ...relayCacheChatroom @relay(mask: false)
            }
          }
          ... on ChatroomDeleted {
            deletedId @deleteRecord
          }
        }
      }
    }
  `,
  graphql`
    subscription relayCacheChatroomEventsSubscription($id: ID!, $after: String!) {
      chatroomEvents(chatroomId: $id, after: $after) {
        change {
          __typename
          ... on MessageAdded {
            message {
              ...relayCacheMessage @relay(mask: false)
            }
          }
          ... on MessageChanged {
            message {
              ...relayCacheMessage @relay(mask: false)
            }
          }
          ... on ReplyDelta {
            text
            message {
              id
            }
          }
          ... on ReplyRestarted {
            message {
              id
            }
          }
          ... on ReplyCompleted {
            message {
              ...relayCacheMessage @relay(mask: false)
            }
          }
          ... on ReplyFailed {
            message {
              ...relayCacheMessage @relay(mask: false)
            }
          }
          ... on ReplyCancelled {
            message {
              ...relayCacheMessage @relay(mask: false)
            }
          }
        }
      }
    }
  `,
  graphql`
    mutation relayCacheSendMutation($chatroom: ID!, $content: String!) {
      sendMessage(input: { chatroomId: $chatroom, content: $content }) {
        reply {
          id
        }
        user {
          id
          usage {
            used
            remaining
          }
        }
      }
    }
  `,
];
