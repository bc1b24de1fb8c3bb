//! Signing in and out, and who one is.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::Timestamp;

use super::{
    context::{auth, caller, viewer},
    types::{PhoneNumberScalar, Session, User},
};
use crate::{
    domain::auth::{Email, FullName, NewUser, OtpCode, Password, Purpose, SentOtp, SignedIn, SignupToken},
    error::{Error, Result},
};

#[derive(Default)]
pub struct AccountQueries;

#[Object]
impl AccountQueries {
    /// The signed-in user; null without a valid access token.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Ok(viewer) = viewer(ctx) else { return Ok(None) };
        auth(ctx).me(viewer).await.map(|user| Some(User(user)))
    }

    /// Where you are signed in.
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
    /// Sends a code to a phone number that is to be registered with an optional profile and password. verifyOtp with a code
    /// for the number and the signupToken creates the user with them; without the token they are dropped. For a number that
    /// is registered already they are dropped, too, and no answer tells so.
    async fn signup(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who registers.")] input: SignupInput,
    ) -> Result<SignupPayload> {
        let new = NewUser {
            email: input.email.as_deref().map(Email::parse).transpose()?,
            full_name: input.full_name.as_deref().map(FullName::parse).transpose()?,
            password: input.password.map(|text| Password::parse("password", text)).transpose()?,
        };
        let (user, token, sent) = auth(ctx).signup(input.phone_number.0, new, caller(ctx)).await?;
        Ok(SignupPayload { user: User(user), signup_token: token.into_text(), otp: sent.into() })
    }

    /// Sends a one-time password to a phone. Unknown numbers get one too, and verifying it registers them.
    async fn send_otp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where to send it.")] input: SendOtpInput,
    ) -> Result<SendOtpPayload> {
        let sent = auth(ctx).send_otp(input.phone_number.0, Purpose::SignIn, caller(ctx)).await?;
        Ok(sent.into())
    }

    /// Exchanges a one-time password for tokens. What is not six digits is BAD_USER_INPUT and costs no attempt.
    async fn verify_otp(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number and the code that came to it.")] input: VerifyOtpInput,
    ) -> Result<AuthPayload> {
        let code = OtpCode::parse(&input.otp)?;
        let signup = input.signup_token.map(SignupToken::unverified);
        let signed_in =
            auth(ctx).verify_otp(&input.phone_number.0, &code, signup.as_ref(), caller(ctx)).await?;
        Ok(signed_in.into())
    }

    /// Exchanges a refresh token for new tokens. An exchange whose answer was lost is repeated with the same token, until the
    /// new tokens have been used; reuse after that ends the session.
    async fn refresh_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The newest refresh token of the session.")] refresh_token: String,
    ) -> Result<AuthPayload> {
        auth(ctx).refresh(&refresh_token).await.map(AuthPayload::from)
    }

    /// Ends this session, or all of them.
    async fn logout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "End the sessions on all devices.", default = false)] everywhere: bool,
    ) -> Result<LogoutPayload> {
        let ended = auth(ctx).logout(viewer(ctx)?, everywhere).await?;
        Ok(LogoutPayload::new(ended))
    }

    /// Ends one of your sessions, on whatever device it is; its sockets close at once.
    async fn end_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session's id, as sessions tells it.")] id: ID,
    ) -> Result<LogoutPayload> {
        let viewer = viewer(ctx)?;
        let session = id.parse().map_err(|_| Error::NotFound("session"))?;
        auth(ctx).end_session(viewer, session).await.map(LogoutPayload::new)
    }
}

/// Who registers.
#[derive(InputObject)]
pub struct SignupInput {
    /// The phone's number.
    phone_number: PhoneNumberScalar,
    /// Where the user can be written to.
    email: Option<String>,
    /// 1 to 100 characters.
    full_name: Option<String>,
    /// 8 to 128 characters; without one, a code is needed each time.
    password: Option<String>,
}

/// A registration that waits for its code.
#[derive(SimpleObject)]
pub struct SignupPayload {
    /// The user that the code and the token will create, unless the number is registered already.
    user: User,
    /// For verifyOtp, within 30 minutes, also with a code that sendOtp sent later. Keep it on the client that signed up.
    signup_token: String,
    /// The code that is on its way.
    otp: SendOtpPayload,
}

/// Where to send a one-time password.
#[derive(InputObject)]
pub struct SendOtpInput {
    /// The phone's number.
    pub(super) phone_number: PhoneNumberScalar,
}

/// A one-time password that is on its way.
#[derive(SimpleObject)]
pub struct SendOtpPayload {
    /// The phone's number as it was understood.
    phone_number: PhoneNumberScalar,
    /// Until when the code works.
    expires_at: Timestamp,
    /// When another may be asked for.
    resend_at: Timestamp,
    /// The code itself: only where the server delivers by response (OTP_DELIVERY=response), for development.
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

/// A one-time password and the number that it came to.
#[derive(InputObject)]
pub struct VerifyOtpInput {
    /// The phone's number.
    phone_number: PhoneNumberScalar,
    /// The code: six digits of any script; spaces and dashes are ignored.
    otp: String,
    /// What signup returned; without it a new user has no profile.
    signup_token: Option<String>,
}

/// The tokens of a session.
#[derive(SimpleObject)]
pub struct AuthPayload {
    /// For the Authorization header: `Bearer` and this.
    access_token: String,
    /// Until when it works.
    access_token_expires_at: Timestamp,
    /// For refreshToken.
    refresh_token: String,
    /// Until when it works.
    refresh_token_expires_at: Timestamp,
    /// Who signed in.
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

/// What a logout did.
#[derive(SimpleObject)]
pub struct LogoutPayload {
    /// How many sessions ended.
    sessions_ended: i32,
}

impl LogoutPayload {
    fn new(ended: u64) -> Self {
        Self { sessions_ended: i32::try_from(ended).unwrap_or(i32::MAX) }
    }
}
