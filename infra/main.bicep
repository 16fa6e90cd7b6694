// Everything that Mailgrant needs in one subscription; README.md, "Deploy", has the commands.
targetScope = 'subscription'

@description('Short name of this installation; all other names are made from it.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Azure region; one that has Flex Consumption (`az functionapp list-flexconsumption-locations`).')
@minLength(2)
@maxLength(40)
param location string

@description('Python of the app. Older ones are refused: their workers mix their own packages with ours.')
@allowed(['3.13', '3.14'])
param pythonVersion string = '3.13'

@description('Memory of an instance. Mail of 150 MB passes through 512 too; 2048 gives a whole processor.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Most instances of each function group; 40 is the least that Azure takes.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('HTTP requests that one instance takes at once.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 16

@description('Instances for HTTP that are always ready, and always paid; 0 lets the app sleep.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 0

@description('Copies of the storage account: in one data centre, in three zones, or in a second region as well.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GZRS'])
param storageSku string = 'Standard_LRS'

@description('Days for which deleted blobs can be restored. They outlive erasure by as long; 0 for none.')
@minValue(0)
@maxValue(30)
param storageRestoreDays int = 0

@description('Queues that connections deliver mail to; each name begins with out-.')
@maxLength(200)
param destinationQueues array = []

@description('Days for which deleted secrets can be recovered.')
@minValue(7)
@maxValue(90)
param vaultSoftDeleteDays int = 90

@description('Nobody can purge the vault before those days have passed. It cannot be turned off again.')
param vaultPurgeProtection bool = true

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Most gigabytes of logs a day, -1 for no limit; what comes beyond is lost, and alerts with it.')
@minValue(-1)
@maxValue(1000)
param logDailyCapGb int = 5

@description('Puts the app into a network of its own, with private endpoints for storage and vault.')
param useNetwork bool = false

@description('Addresses of that network, a /24 or larger.')
@minLength(9)
@maxLength(18)
param networkPrefix string = '10.77.0.0/24'

@description('With that network: whether clients may still upload large attachments from the internet.')
param uploadsFromInternet bool = false

@description('Root of every URL that is handed out, such as https://mail.contoso.com; empty for the app\'s own address.')
@maxLength(200)
param publicBaseUrl string = ''

@description('How administrators prove themselves: by a function key, or signed in by App Service Authentication.')
@allowed(['key', 'easyauth'])
param adminAuth string = 'key'

@description('With easyauth: id of the tenant whose people administer; empty for the subscription\'s own.')
@maxLength(36)
param adminTenant string = ''

@description('With easyauth: client id of the app registration that people sign in to; refused if it is missing.')
@maxLength(36)
param adminClientId string = ''

@description('NCRONTAB of the tick, in UTC.')
@minLength(9)
@maxLength(100)
param tickSchedule string = '0 * * * * *'

@description('Comma-separated host:port that webhooks may reach besides public https on 443.')
@maxLength(2000)
param deliveryAllow string = ''

@description('A proxy (http://host:port) that makes all calls to destinations; empty for none.')
@maxLength(200)
param deliveryProxy string = ''

@description('Who takes turns: connections of one mailbox, or all new connections of one app registration.')
@allowed(['mailbox', 'app'])
param turnKey string = 'mailbox'

@description('Whole https URL that gets alarms; it goes into the vault. Empty for none.')
@secure()
@maxLength(2000)
param alertWebhook string = ''

@description('What alarms look like: CloudEvents, a card for a Teams workflow, or a message for Slack.')
@allowed(['cloudevents', 'teams', 'slack'])
param alertFormat string = 'cloudevents'

@description('Standard Webhooks secret (whsec_…) that signs alarms; it goes into the vault. Empty for none.')
@secure()
@maxLength(200)
param alertWebhookSecret string = ''

@description('Who gets e-mails of alerts and of the budget; empty for neither.')
@maxLength(254)
param operatorEmail string = ''

@description('Failed requests and functions within 15 minutes that are too many.')
@minValue(0)
@maxValue(100000)
param failureThreshold int = 10

@description('Money a month, in the currency of the subscription, at which Azure writes an e-mail; 0 for no budget.')
@minValue(0)
@maxValue(1000000)
param monthlyBudget int = 50

@description('First month of the budget; it must stay as it was at the first deployment, which azd sees to.')
@maxLength(10)
param budgetStart string = ''

@description('Leave it: the first day of this month, for want of budgetStart.')
param thisMonth string = utcNow('yyyy-MM-01')

var token = uniqueString(subscription().id, environmentName, location)
var tags = { 'azd-env-name': environmentName, application: 'mailgrant' }
var firstMonth = empty(budgetStart) ? thisMonth : budgetStart
// By this name the platform signs in to Entra with a token of the identity, where there would be a client secret.
var federatedSetting = 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
var tenantOfAdmins = adminAuth == 'key' ? '' : empty(adminTenant) ? tenant().tenantId : adminTenant

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: { name: 'id-${token}', location: location, tags: tags }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${token}'
    location: location
    tags: tags
    sku: storageSku
    reachableFromInternet: !useNetwork || uploadsFromInternet
    restoreDays: storageRestoreDays
    destinationQueues: destinationQueues
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: 'kv-${token}'
    location: location
    tags: tags
    softDeleteDays: vaultSoftDeleteDays
    purgeProtection: vaultPurgeProtection
    reachableFromInternet: !useNetwork
    alertWebhook: alertWebhook
    alertWebhookSecret: alertWebhookSecret
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-${token}'
    insightsName: 'appi-${token}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGb: logDailyCapGb
  }
}

module network 'modules/network.bicep' = if (useNetwork) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-${token}'
    location: location
    tags: tags
    addressPrefix: networkPrefix
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
  }
}

// Before the app, which reads its package and its settings as the identity.
module roles 'modules/roles.bicep' = {
  name: 'roles'
  scope: group
  params: {
    principalId: identity.outputs.principalId
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    insightsName: monitoring.outputs.insightsName
    token: token
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  dependsOn: [roles]
  params: {
    planName: 'plan-${token}'
    appName: 'func-${token}'
    location: location
    tags: tags
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    packagesUrl: storage.outputs.packagesUrl
    vaultUri: vault.outputs.uri
    insightsConnection: monitoring.outputs.insightsConnection
    subnetId: useNetwork ? network!.outputs.appSubnetId : ''
    publicBaseUrl: publicBaseUrl
    adminAuth: adminAuth
    adminTenant: tenantOfAdmins
    federatedSetting: federatedSetting
    tickSchedule: tickSchedule
    deliveryAllow: deliveryAllow
    deliveryProxy: deliveryProxy
    hasAlertWebhook: !empty(alertWebhook)
    alertFormat: alertFormat
    hasAlertWebhookSecret: !empty(alertWebhookSecret)
    turnKey: turnKey
  }
}

// None of its parameters is an output of the app, so Azure can refuse a missing one before it begins.
module signIn 'modules/sign_in.bicep' = if (adminAuth == 'easyauth') {
  name: 'sign-in'
  scope: group
  dependsOn: [app]
  params: {
    appName: 'func-${token}'
    adminTenant: tenantOfAdmins
    adminClientId: adminClientId
    federatedSetting: federatedSetting
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: { location: location, tags: tags, workspaceId: monitoring.outputs.workspaceId }
}

module alerts 'modules/alerts.bicep' = if (!empty(operatorEmail)) {
  name: 'alerts'
  scope: group
  params: {
    prefix: 'mailgrant-${environmentName}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    email: operatorEmail
    failures: failureThreshold
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0 && !empty(operatorEmail)) {
  name: 'budget'
  scope: group
  params: {
    name: 'mailgrant-${environmentName}'
    amount: monthlyBudget
    start: firstMonth
    email: operatorEmail
  }
}

@description('The resource group of it all.')
output AZURE_RESOURCE_GROUP string = group.name
@description('The function app, for `func azure functionapp publish`.')
output FUNCTION_APP_NAME string = app.outputs.name
@description('For the app registration: the one address that Microsoft sends browsers back to.')
output REDIRECT_URI string = '${app.outputs.url}/api/consent/callback'
@description('Where administrators look.')
output CONSOLE_URL string = '${app.outputs.url}/api/console'
@description('For Easy Auth: the redirect URI of the registration that people sign in to.')
output EASY_AUTH_REDIRECT_URI string = '${app.outputs.url}/.auth/login/aad/callback'
@description('For federated credentials: the issuer of the identity.')
output IDENTITY_ISSUER string = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
@description('For federated credentials: the subject, which is the object id of the identity.')
output IDENTITY_SUBJECT string = identity.outputs.principalId
@description('Client id of the identity, for credentials of the kind `federated`.')
output IDENTITY_CLIENT_ID string = identity.outputs.clientId
@description('First month of the budget; azd hands it back as budgetStart.')
output BUDGET_START string = firstMonth
