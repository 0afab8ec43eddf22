//! One certificate from an authority: account, order, checks of names, certificate (RFC 8555 §7).

use std::sync::Weak;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use serde::{Deserialize, Serialize};

use crate::acme::acme_folder::AcmeFolder;
use crate::gateway::socket::tls::acme_store::{AcmeOptions, AcmeStore};

/// How long an authority may take for each step.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// An account as it is kept.
#[derive(Deserialize, Serialize)]
struct KeptAccount<T> {
    /// The authority that it is with.
    directory: String,
    credentials: T,
}

/// Asks for a certificate. Returns it, those that vouch for it, and its key, in PEM format. The answers to the authority's
/// questions are in the store.
///
/// # Errors
/// The authority cannot be reached, or refuses.
pub(super) async fn ask(
    options: &AcmeOptions,
    folder: &AcmeFolder,
    store: &Weak<AcmeStore>,
) -> anyhow::Result<String> {
    let account = account(options, folder).await?;
    let names = options.names.iter().cloned().map(Identifier::Dns);
    let names: Vec<Identifier> = names.collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    prove(&mut order, options, store).await?;
    match order.poll_ready(&PATIENCE).await? {
        OrderStatus::Ready => {}
        _ => bail!("{}", refusal(&mut order).await),
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(chain + "\n" + &key)
}

async fn account(options: &AcmeOptions, folder: &AcmeFolder) -> anyhow::Result<Account> {
    let builder = || -> anyhow::Result<AccountBuilder> {
        Ok(match &options.root {
            Some(root) => Account::builder_with_root(root)?,
            None => Account::builder()?,
        })
    };
    let kept = AcmeFolder::read(&folder.account());
    let kept = kept.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(KeptAccount::<AccountCredentials> {
        directory,
        credentials,
    }) = kept
        && directory == options.directory
    {
        return Ok(builder()?.from_credentials(credentials).await?);
    }
    let contacts: Vec<&str> = options.contacts.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let directory = options.directory.clone();
    let made = builder()?.create(&new, directory.clone(), None).await;
    let (account, credentials) = made.context("there is no account")?;
    let kept = KeptAccount {
        directory,
        credentials,
    };
    folder.write(&folder.account(), &serde_json::to_string(&kept)?)?;
    Ok(account)
}

/// Has the authority check each name that it has not checked lately.
async fn prove(
    order: &mut Order,
    options: &AcmeOptions,
    store: &Weak<AcmeStore>,
) -> anyhow::Result<()> {
    let kind = match options.by_http {
        true => ChallengeType::Http01,
        false => ChallengeType::TlsAlpn01,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            _ => bail!("the authority does not check `{name}`"),
        }
        let challenge = authorization.challenge(kind.clone());
        let mut challenge = challenge.ok_or_else(|| match options.by_http {
            true => anyhow!("the authority does not check `{name}` by http (HTTP-01)"),
            false => anyhow!("the authority does not check `{name}` by https (TLS-ALPN-01)"),
        })?;
        let answer = challenge.key_authorization();
        let store = store.upgrade().context("the server ends")?;
        match options.by_http {
            true => store.set_answer_by_http(&challenge.token, answer.as_str()),
            false => store.set_answer_by_tls(&name, answer.digest().as_ref().try_into()?)?,
        }
        drop(store);
        challenge.set_ready().await?;
    }
    Ok(())
}

/// Why an order has failed, in the words of the authority.
async fn refusal(order: &mut Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        if let Ok(state) = authorization.refresh().await {
            let problems = state.challenges.iter().filter_map(|one| one.error.as_ref());
            reasons.extend(problems.map(|problem| format!("`{name}`: {problem}")));
        }
    }
    match reasons.is_empty() {
        true => "the authority has refused without a reason".to_owned(),
        false => reasons.join("; "),
    }
}
