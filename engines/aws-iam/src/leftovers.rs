//! What else keeps IAM from deleting a user: MFA devices, certificates, SSH keys, credentials of single services. Looked for only
//! when IAM says that something is left, since nearly no user has any.

use crate::failure::unless_gone;
use aws_sdk_iam::Client;
use secrethub_engine::Result;

/// Deletes them.
///
/// # Errors
/// As AWS answers.
pub async fn remove(iam: &Client, name: &str) -> Result<()> {
    remove_mfa_devices(iam, name).await?;
    remove_certificates(iam, name).await?;
    remove_ssh_keys(iam, name).await?;
    remove_service_credentials(iam, name).await
}

async fn remove_mfa_devices(iam: &Client, name: &str) -> Result<()> {
    let devices = iam.list_mfa_devices().user_name(name).into_paginator().items().send().try_collect().await;
    for device in unless_gone(devices, "cannot list the user's MFA devices")?.unwrap_or_default() {
        let number = device.serial_number;
        let off = iam.deactivate_mfa_device().user_name(name).serial_number(&number).send().await;
        unless_gone(off, "cannot deactivate the user's MFA device")?;
        // a virtual device would be left behind, belonging to nobody; its number is its ARN
        if number.contains(":mfa/") {
            let deleted = iam.delete_virtual_mfa_device().serial_number(number).send().await;
            unless_gone(deleted, "cannot delete the user's virtual MFA device")?;
        }
    }
    Ok(())
}

async fn remove_certificates(iam: &Client, name: &str) -> Result<()> {
    let certificates =
        iam.list_signing_certificates().user_name(name).into_paginator().items().send().try_collect().await;
    for certificate in unless_gone(certificates, "cannot list the user's certificates")?.unwrap_or_default() {
        let deleted = iam
            .delete_signing_certificate()
            .user_name(name)
            .certificate_id(certificate.certificate_id)
            .send()
            .await;
        unless_gone(deleted, "cannot delete the user's certificate")?;
    }
    Ok(())
}

async fn remove_ssh_keys(iam: &Client, name: &str) -> Result<()> {
    let keys = iam.list_ssh_public_keys().user_name(name).into_paginator().items().send().try_collect().await;
    for key in unless_gone(keys, "cannot list the user's SSH keys")?.unwrap_or_default() {
        let deleted =
            iam.delete_ssh_public_key().user_name(name).ssh_public_key_id(key.ssh_public_key_id).send().await;
        unless_gone(deleted, "cannot delete the user's SSH key")?;
    }
    Ok(())
}

/// Of the first page: a user has two for each service at most.
async fn remove_service_credentials(iam: &Client, name: &str) -> Result<()> {
    let listed = iam.list_service_specific_credentials().user_name(name).send().await;
    let Some(listed) = unless_gone(listed, "cannot list the user's service credentials")? else {
        return Ok(());
    };
    for credential in listed.service_specific_credentials() {
        let deleted = iam
            .delete_service_specific_credential()
            .user_name(name)
            .service_specific_credential_id(credential.service_specific_credential_id())
            .send()
            .await;
        unless_gone(deleted, "cannot delete the user's service credential")?;
    }
    Ok(())
}
