// One account for the Functions host and for the product: mail, state and queues. No account key works here.

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Copies: LRS in one data centre, ZRS in three zones of the region, GZRS in a second region as well.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GZRS'])
param sku string

@description('Whether the account answers the internet; clients upload large attachments straight into it.')
param reachableFromInternet bool

@description('Days for which deleted blobs can be restored; 0 for none.')
@minValue(0)
@maxValue(30)
param restoreDays int

@description('More queues: those that connections deliver mail to.')
@maxLength(200)
param destinationQueues array

// A test holds these equal to what the product and its local cloud use.
var containers = ['received', 'outbox', 'uploads']
var workQueues = ['mail-fetch', 'mail-deliver', 'mail-send', 'consent-check']
var poisonQueues = [for queue in workQueues: '${queue}-poison']
var tables = ['connections', 'credentials', 'grants', 'tickets', 'receipts', 'outbox', 'log', 'audit', 'counters']
var packages = 'deployments'

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: reachableFromInternet ? 'Enabled' : 'Disabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: reachableFromInternet ? 'Allow' : 'Deny'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: restoreDays > 0 ? { enabled: true, days: max(restoreDays, 1) } : { enabled: false }
  }
}

resource blobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for container in union(containers, [packages]): {
    parent: blobs
    name: container
    properties: { publicAccess: 'None' }
  }
]

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource storageQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' = [
  for queue in union(workQueues, poisonQueues, destinationQueues): {
    parent: queues
    name: queue
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource storageTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' = [
  for table in tables: {
    parent: tableService
    name: table
  }
]

output id string = account.id
output name string = account.name
output packagesUrl string = '${account.properties.primaryEndpoints.blob}${packages}'
