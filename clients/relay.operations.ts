// The input of relay-compiler. This file is not executed.
import { graphql } from "relay-runtime";

export const operations = () => [
  graphql`
    mutation relaySendOtpMutation($phoneNumber: PhoneNumber!) {
      sendOtp(input: { phoneNumber: $phoneNumber }) {
        otp
      }
    }
  `,
  graphql`
    mutation relayVerifyOtpMutation($phoneNumber: PhoneNumber!, $otp: String!) {
      verifyOtp(input: { phoneNumber: $phoneNumber, otp: $otp }) {
        accessToken
      }
    }
  `,
  graphql`
    mutation relayCreateChatroomMutation($title: String!) {
      createChatroom(input: { title: $title }) {
        chatroom {
          id
        }
      }
    }
  `,
  graphql`
    mutation relaySendMutation($chatroom: ID!, $content: String!) {
      sendMessage(input: { chatroomId: $chatroom, content: $content }) {
        reply {
          id
        }
      }
    }
  `,
  graphql`
    mutation relayStopMutation($reply: ID!) {
      stopReply(input: { messageId: $reply }) {
        message {
          status
        }
      }
    }
  `,
  graphql`
    subscription relayFollowSubscription($reply: ID!, $after: String) {
      replyStream(messageId: $reply, after: $after) {
        __typename
        ... on ReplyDelta {
          cursor
          text
        }
        ... on ReplyRestarted {
          cursor
        }
        ... on ReplyCompleted {
          cursor
        }
        ... on ReplyFailed {
          cursor
          failure {
            message
          }
        }
        ... on ReplyCancelled {
          cursor
        }
      }
    }
  `,
];
