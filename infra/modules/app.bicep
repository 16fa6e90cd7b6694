// The plan, the app and its settings. No setting holds a key: the app and its host prove themselves by the identity.

@description('Name of the plan.')
@minLength(1)
@maxLength(40)
param planName string

@description('Name of the app; it is part of its address.')
@minLength(2)
@maxLength(60)
param appName string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Python of the app.')
@allowed(['3.13', '3.14'])
param pythonVersion string

@description('Memory of an instance.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int

@description('Most instances of each function group.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int

@description('HTTP requests that one instance takes at once.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int

@description('Instances for HTTP that are always ready, and always paid.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int

@description('Resource id of the identity.')
param identityId string

@description('Client id of the identity.')
param identityClientId string

@description('Name of the storage account.')
param storageName string

@description('Address of the container for packages.')
param packagesUrl string

@description('Address of the vault.')
param vaultUri string

@description('Where telemetry goes; not a secret, since only the identity may write there.')
param insightsConnection string

@description('Subnet of the app, empty for none.')
param subnetId string

@description('Root of every URL we hand out, empty for the app\'s own address.')
param publicBaseUrl string

@description('How administrators prove themselves.')
@allowed(['key', 'easyauth'])
param adminAuth string

@description('With easyauth: the tenant whose people administer.')
param adminTenant string

@description('With easyauth: name of the setting that holds the identity\'s client id, in place of a client secret.')
param federatedSetting string

@description('NCRONTAB of the tick.')
param tickSchedule string

@description('Comma-separated host:port that webhooks may reach besides public https on 443.')
param deliveryAllow string

@description('Proxy for calls to destinations, empty for none.')
param deliveryProxy string

@description('Whether the vault holds the address of alarms.')
param hasAlertWebhook bool

@description('What alarms look like.')
@allowed(['cloudevents', 'teams', 'slack'])
param alertFormat string

@description('Whether the vault holds the secret that signs alarms.')
param hasAlertWebhookSecret bool

@description('Who takes turns: connections of one mailbox, or all of one app registration.')
@allowed(['mailbox', 'app'])
param turnKey string

var byEasyAuth = adminAuth == 'easyauth'

var settings = {
  AzureWebJobsStorage__accountName: storageName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  MAIL_STORAGE__accountName: storageName
  MAIL_STORAGE__credential: 'managedidentity'
  MAIL_STORAGE__clientId: identityClientId
  AZURE_CLIENT_ID: identityClientId
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // Everything is sent: by default the exporter keeps five traces a second, and drops the others' log lines with them,
  // which would falsify measures and make alerts deaf.
  OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
  OTEL_TRACES_SAMPLER_ARG: '1.0'
  // No package that it concerns is deployed; were one, its spans would hold the addresses of requests.
  OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,httpx,requests,urllib,urllib3'
  KEY_VAULT_URL: vaultUri
  PUBLIC_BASE_URL: publicBaseUrl
  ADMIN_AUTH: adminAuth
  ADMIN_TENANT: adminTenant
  TICK_SCHEDULE: tickSchedule
  DELIVERY_ALLOW: deliveryAllow
  DELIVERY_PROXY: deliveryProxy
  ALERT_WEBHOOK: hasAlertWebhook ? '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/alert-webhook)' : ''
  ALERT_FORMAT: alertFormat
  ALERT_WEBHOOK_SECRET: hasAlertWebhookSecret
    ? '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/alert-webhook-secret)'
    : ''
  TURN_LEASE_SECONDS: '60'
  TURN_KEY: turnKey
  SEND_LOOK_SECONDS: '30'
  SEND_LOOK_GAP_SECONDS: '60'
  SEND_QUIET_SECONDS: '300'
  CONFIRM_SECONDS: '60'
  CONSENT_RECHECK_SECONDS: '5'
  VERIFY_SECONDS: '21600'
  SWEEP_SECONDS: '86400'
  DELIVERY_RETRY_SECONDS: '5'
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: appName
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packagesUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyHttp > 0 ? [{ name: 'http', instanceCount: alwaysReadyHttp }] : []
        triggers: { http: { perInstanceConcurrency: httpConcurrency } }
      }
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(settings, byEasyAuth ? { '${federatedSetting}': identityClientId } : {})
}

// No passwords for publishing: `func` and `azd` publish with a token of Entra.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

output name string = app.name
output url string = empty(publicBaseUrl) ? 'https://${app.properties.defaultHostName}' : publicBaseUrl
