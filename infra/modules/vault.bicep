// A vault of its own: client secrets, certificates, the keys that sign events and links, and the address of alarms.

@description('Name of the vault.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Days for which deleted secrets can be recovered.')
@minValue(7)
@maxValue(90)
param softDeleteDays int

@description('Nobody can purge before those days have passed. It cannot be turned off again.')
param purgeProtection bool

@description('Whether the vault answers the internet; every call needs a token of Entra all the same.')
param reachableFromInternet bool

@description('Whole https URL that gets alarms; often a secret by itself.')
@secure()
param alertWebhook string

@description('Standard Webhooks secret (whsec_…) that signs alarms.')
@secure()
param alertWebhookSecret string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: softDeleteDays
    // Azure refuses `false` here: what is not protected leaves it out.
    enablePurgeProtection: purgeProtection ? true : null
    publicNetworkAccess: reachableFromInternet ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: reachableFromInternet ? 'Allow' : 'Deny'
    }
  }
}

resource webhook 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (!empty(alertWebhook)) {
  parent: vault
  name: 'alert-webhook'
  properties: { value: alertWebhook, contentType: 'ALERT_WEBHOOK' }
}

resource webhookSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (!empty(alertWebhookSecret)) {
  parent: vault
  name: 'alert-webhook-secret'
  properties: { value: alertWebhookSecret, contentType: 'ALERT_WEBHOOK_SECRET' }
}

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
