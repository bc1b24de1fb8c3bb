//! Parameters that some models and servers reject. The first rejection is remembered, so that only the first call is repeated.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

/// For each model, the optional parameters that it has rejected. A call without them still gets an answer.
#[derive(Debug)]
pub struct OptionalParameters {
    api: &'static str,
    names: &'static [&'static str],
    rejected: Mutex<HashSet<(String, &'static str)>>,
}

impl OptionalParameters {
    /// `names` are the optional parameters. `api` names the provider's API in the log.
    pub fn new(api: &'static str, names: &'static [&'static str]) -> Self {
        Self { api, names, rejected: Mutex::default() }
    }

    /// Whether the model has rejected a parameter.
    pub fn is_rejected(&self, model: &str, name: &'static str) -> bool {
        self.lock().contains(&(model.to_owned(), name))
    }

    /// Removes the parameters that the model has rejected from these parameters of a call.
    pub fn remove_rejected(&self, parameters: &mut Value, model: &str) {
        for (_, name) in self.lock().iter().filter(|(rejecting, _)| rejecting == model) {
            remove(parameters, name);
        }
    }

    /// If the error rejects an optional parameter of the call, records the rejection, removes the parameter, and returns its name
    /// and its value.
    pub fn remove_newly_rejected(
        &self,
        parameters: &mut Value,
        model: &str,
        error_rejects: impl Fn(&str) -> bool,
    ) -> Option<(&'static str, Value)> {
        let mut names = self.names.iter().filter(|name| error_rejects(name));
        let (name, value) = names.find_map(|name| Some((*name, remove(parameters, name)?)))?;
        tracing::info!(
            api = self.api,
            model,
            parameter = name,
            "the model rejects a parameter; calling it without"
        );
        self.lock().insert((model.to_owned(), name));
        Some((name, value))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, &'static str)>> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(parameters: &mut Value, name: &str) -> Option<Value> {
    parameters.as_object_mut()?.remove(name)
}
