//! Signing in by password, and choosing one.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use super::{
    accounts::{AuthPayload, SendOtpInput, SendOtpPayload},
    context::{auth, caller, viewer},
    types::{PhoneNumberScalar, User},
};
use crate::{
    domain::auth::{OtpCode, Password, Purpose},
    error::Result,
};

#[derive(Default)]
pub struct PasswordMutations;

#[Object]
impl PasswordMutations {
    /// Signs in with a password, where one has been set.
    async fn login(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number and its password.")] input: LoginInput,
    ) -> Result<AuthPayload> {
        let signed_in = auth(ctx).login(&input.phone_number.0, input.password, caller(ctx)).await?;
        Ok(signed_in.into())
    }

    /// Sends an OTP for a password reset. Says the same whether or not the number is registered.
    async fn forgot_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where to send it.")] input: SendOtpInput,
    ) -> Result<SendOtpPayload> {
        let sent = auth(ctx).send_otp(input.phone_number.0, Purpose::Reset, caller(ctx)).await?;
        Ok(sent.into())
    }

    /// Sets a password with the code that forgotPassword sent, ends all sessions and begins a new one.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code and what the password is to be.")] input: ResetPasswordInput,
    ) -> Result<AuthPayload> {
        let new = Password::parse("newPassword", input.new_password)?;
        let code = OtpCode::parse(&input.otp)?;
        let reset = auth(ctx).reset_password(&input.phone_number.0, &code, &new, caller(ctx));
        Ok(reset.await?.into())
    }

    /// Sets another password and ends all other sessions.
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the password was and is to be.")] input: ChangePasswordInput,
    ) -> Result<ChangePasswordPayload> {
        let viewer = viewer(ctx)?;
        let new = Password::parse("newPassword", input.new_password)?;
        let user = auth(ctx).change_password(viewer, input.current_password, &new).await?;
        Ok(ChangePasswordPayload { user: User(user) })
    }
}

/// A number and its password.
#[derive(InputObject)]
pub struct LoginInput {
    /// The phone's number.
    phone_number: PhoneNumberScalar,
    /// The password.
    password: String,
}

/// A code and what the password is to be.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The phone's number.
    phone_number: PhoneNumberScalar,
    /// The code that forgotPassword sent.
    otp: String,
    /// 8 to 128 characters.
    new_password: String,
}

/// What a password was and is to be.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// Needed where hasPassword is true.
    current_password: Option<String>,
    /// 8 to 128 characters.
    new_password: String,
}

/// A password that was changed.
#[derive(SimpleObject)]
pub struct ChangePasswordPayload {
    /// Whose it is.
    user: User,
}
