//! Signing up, signing in by one-time password, and sessions.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::Timestamp;

use crate::{
    domain::auth::{Email, FullName, NewUser, OtpCode, Password, Purpose, SentOtp, SignedIn, SignupToken},
    error::{Error, Result},
    graphql::{
        engine::context::{auth, caller, viewer},
        types::{PhoneNumberScalar, Session, User},
    },
};

#[derive(Default)]
pub struct AccountQueries;

#[Object]
impl AccountQueries {
    /// The signed-in user. Null without a valid access token.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Ok(viewer) = viewer(ctx) else { return Ok(None) };
        auth(ctx).me(viewer).await.map(|user| Some(User(user)))
    }

    /// Your active sessions. Errors: UNAUTHENTICATED.
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Vec<Session>> {
        let viewer = viewer(ctx)?;
        let sessions = auth(ctx).sessions(viewer.user).await?;
        Ok(sessions.into_iter().map(|session| Session::new(session, viewer)).collect())
    }
}

#[derive(Default)]
pub struct AccountMutations;

#[Object]
impl AccountMutations {
    /// Starts the registration of a phone number with an optional profile and password, and sends a one-time password. verifyOtp
    /// with the code and the signupToken creates the user with the profile and the password; without the token, or if the number
    /// is already registered, they are discarded. The response does not reveal whether the number is registered. Errors:
    /// BAD_USER_INPUT, RATE_LIMITED.
    async fn signup(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The phone number, profile and password of the new user.")] input: SignupInput,
    ) -> Result<SignupPayload> {
        let new = NewUser {
            email: input.email.as_deref().map(Email::parse).transpose()?,
            full_name: input.full_name.as_deref().map(FullName::parse).transpose()?,
            password: input.password.map(|text| Password::parse("password", text)).transpose()?,
        };
        let (user, token, sent) = auth(ctx).signup(input.phone_number.0, new, caller(ctx)).await?;
        Ok(SignupPayload { user: User(user), signup_token: token.into_text(), otp: sent.into() })
    }

    /// Sends a one-time password to a phone number. If the number is not registered, verifyOtp registers it. Errors:
    /// BAD_USER_INPUT, RATE_LIMITED.
    async fn send_otp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The phone number.")] input: SendOtpInput,
    ) -> Result<SendOtpPayload> {
        let sent = auth(ctx).send_otp(input.phone_number.0, Purpose::SignIn, caller(ctx)).await?;
        Ok(sent.into())
    }

    /// Signs in with a one-time password; an unregistered number is registered. Errors: OTP_INVALID for a wrong, used or expired
    /// code; BAD_USER_INPUT for a code that is not six digits, which costs no attempt; RATE_LIMITED.
    async fn verify_otp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The phone number and the code sent to it.")] input: VerifyOtpInput,
    ) -> Result<AuthPayload> {
        let code = OtpCode::parse(&input.otp)?;
        let signup = input.signup_token.map(SignupToken::unverified);
        let signed_in =
            auth(ctx).verify_otp(&input.phone_number.0, &code, signup.as_ref(), caller(ctx)).await?;
        Ok(signed_in.into())
    }

    /// Exchanges a refresh token for new tokens. If the response is lost, retry with the same token: it returns the same new
    /// tokens until they are used. Reuse after that ends the session. Errors: UNAUTHENTICATED, RATE_LIMITED.
    async fn refresh_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refresh token.")] input: RefreshTokenInput,
    ) -> Result<AuthPayload> {
        auth(ctx).refresh(&input.refresh_token).await.map(AuthPayload::from)
    }

    /// Ends the current session, or all sessions of the user. Errors: UNAUTHENTICATED.
    async fn logout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which sessions to end. Null: the current one.")] input: Option<LogoutInput>,
    ) -> Result<LogoutPayload> {
        let everywhere = input.is_some_and(|input| input.everywhere);
        let ended = auth(ctx).logout(viewer(ctx)?, everywhere).await?;
        Ok(LogoutPayload::new(ended))
    }

    /// Ends one of your sessions and closes its sockets. Errors: UNAUTHENTICATED, NOT_FOUND.
    async fn end_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session to end.")] input: EndSessionInput,
    ) -> Result<LogoutPayload> {
        let viewer = viewer(ctx)?;
        let session = input.id.parse().map_err(|_| Error::NotFound("session"))?;
        auth(ctx).end_session(viewer, session).await.map(LogoutPayload::new)
    }
}

/// The phone number, profile and password of a new user.
#[derive(InputObject)]
pub struct SignupInput {
    /// The phone number.
    phone_number: PhoneNumberScalar,
    /// The email address; null for none.
    email: Option<String>,
    /// The full name: 1 to 100 characters; null for none.
    full_name: Option<String>,
    /// The password: 8 to 128 characters. Null: the user signs in by one-time password only.
    password: Option<String>,
}

/// A refresh token to exchange.
#[derive(InputObject)]
pub struct RefreshTokenInput {
    /// The latest refresh token of the session.
    refresh_token: String,
}

/// Which sessions a logout ends.
#[derive(InputObject)]
pub struct LogoutInput {
    /// Whether to end all sessions of the user, not only the current one.
    #[graphql(default = false)]
    everywhere: bool,
}

/// A session to end.
#[derive(InputObject)]
pub struct EndSessionInput {
    /// The id of the session, from `sessions`.
    id: ID,
}

/// A started registration.
#[derive(SimpleObject)]
pub struct SignupPayload {
    /// The user that verifyOtp creates, unless the number is already registered.
    user: User,
    /// The token for verifyOtp, valid for 30 minutes, also with a later code from sendOtp. Keep it on the client that signed up.
    signup_token: String,
    /// The one-time password that was sent.
    otp: SendOtpPayload,
}

/// The phone number that receives a one-time password.
#[derive(InputObject)]
pub struct SendOtpInput {
    /// The phone number.
    pub phone_number: PhoneNumberScalar,
}

/// A one-time password that was sent.
#[derive(SimpleObject)]
pub struct SendOtpPayload {
    /// The phone number in E.164 form.
    phone_number: PhoneNumberScalar,
    /// The time at which the code expires.
    expires_at: Timestamp,
    /// The earliest time at which another code can be requested.
    resend_at: Timestamp,
    /// The code, if the server returns codes in responses (OTP_DELIVERY=response, for development); otherwise null.
    otp: Option<String>,
}

impl From<SentOtp> for SendOtpPayload {
    fn from(sent: SentOtp) -> Self {
        Self {
            phone_number: PhoneNumberScalar(sent.phone_number),
            expires_at: sent.expires_at,
            resend_at: sent.resend_at,
            otp: sent.code,
        }
    }
}

/// A one-time password and the phone number that received it.
#[derive(InputObject)]
pub struct VerifyOtpInput {
    /// The phone number.
    phone_number: PhoneNumberScalar,
    /// The one-time password: six digits of any script. Spaces and dashes are ignored.
    otp: String,
    /// The token from signup. Null: a new user has no profile and no password.
    signup_token: Option<String>,
}

/// The tokens of a new or renewed session.
#[derive(SimpleObject)]
pub struct AuthPayload {
    /// The access token. Send it as `Authorization: Bearer <accessToken>`.
    access_token: String,
    /// The time at which the access token expires.
    access_token_expires_at: Timestamp,
    /// The refresh token, for the refreshToken mutation.
    refresh_token: String,
    /// The time at which the refresh token expires.
    refresh_token_expires_at: Timestamp,
    /// The user of the session.
    user: User,
}

impl From<SignedIn> for AuthPayload {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token,
            access_token_expires_at: signed_in.access_token_expires_at,
            refresh_token: signed_in.refresh_token,
            refresh_token_expires_at: signed_in.refresh_token_expires_at,
            user: User(signed_in.user),
        }
    }
}

/// The result of ending sessions.
#[derive(SimpleObject)]
pub struct LogoutPayload {
    /// The number of sessions that were ended.
    sessions_ended: i32,
}

impl LogoutPayload {
    fn new(ended: u64) -> Self {
        Self { sessions_ended: i32::try_from(ended).unwrap_or(i32::MAX) }
    }
}
