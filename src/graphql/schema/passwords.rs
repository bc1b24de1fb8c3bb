//! Signing in by password, and setting passwords.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use super::accounts::{AuthPayload, SendOtpInput, SendOtpPayload};
use crate::{
    domain::auth::{OtpCode, Password, Purpose},
    error::Result,
    graphql::{
        engine::context::{auth, caller, viewer},
        types::{PhoneNumberScalar, User},
    },
};

#[derive(Default)]
pub struct PasswordMutations;

#[Object]
impl PasswordMutations {
    /// Signs in with a password. Errors: UNAUTHENTICATED for a wrong number or password, RATE_LIMITED.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The phone number and the password.")] input: LoginInput,
    ) -> Result<AuthPayload> {
        let signed_in = auth(ctx).login(&input.phone_number.0, input.password, caller(ctx)).await?;
        Ok(signed_in.into())
    }

    /// Sends a one-time password for resetPassword. The response does not reveal whether the number is registered. Errors:
    /// BAD_USER_INPUT, RATE_LIMITED.
    async fn forgot_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The phone number.")] input: SendOtpInput,
    ) -> Result<SendOtpPayload> {
        let sent = auth(ctx).send_otp(input.phone_number.0, Purpose::Reset, caller(ctx)).await?;
        Ok(sent.into())
    }

    /// Sets a password with the code from forgotPassword, ends all sessions and starts a new one. Errors: OTP_INVALID,
    /// BAD_USER_INPUT, RATE_LIMITED.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The phone number, the code and the new password.")] input: ResetPasswordInput,
    ) -> Result<AuthPayload> {
        let new = Password::parse("newPassword", input.new_password)?;
        let code = OtpCode::parse(&input.otp)?;
        let reset = auth(ctx).reset_password(&input.phone_number.0, &code, &new, caller(ctx));
        Ok(reset.await?.into())
    }

    /// Sets a new password and ends all other sessions. Errors: UNAUTHENTICATED, BAD_USER_INPUT, RATE_LIMITED.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The current and the new password.")] input: ChangePasswordInput,
    ) -> Result<ChangePasswordPayload> {
        let viewer = viewer(ctx)?;
        let new = Password::parse("newPassword", input.new_password)?;
        let user = auth(ctx).change_password(viewer, input.current_password, &new).await?;
        Ok(ChangePasswordPayload { user: User(user) })
    }
}

/// A phone number and its password.
#[derive(InputObject)]
pub struct LoginInput {
    /// The phone number.
    phone_number: PhoneNumberScalar,
    /// The password.
    password: String,
}

/// A one-time password and the new password.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The phone number.
    phone_number: PhoneNumberScalar,
    /// The one-time password from forgotPassword: six digits.
    otp: String,
    /// The new password: 8 to 128 characters.
    new_password: String,
}

/// The current and the new password.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The current password. Required if hasPassword is true.
    current_password: Option<String>,
    /// The new password: 8 to 128 characters.
    new_password: String,
}

/// The result of changing a password.
#[derive(SimpleObject)]
pub struct ChangePasswordPayload {
    /// The user whose password was changed.
    user: User,
}
