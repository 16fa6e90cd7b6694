// Optional: the app in a network of its own; storage and vault answer there, and need not answer the internet.

@description('Name of the network.')
@minLength(2)
@maxLength(64)
param name string

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Addresses of the network, a /24 or larger.')
@minLength(9)
@maxLength(18)
param addressPrefix string

@description('Resource id of the storage account.')
param storageId string

@description('Resource id of the vault.')
param vaultId string

var suffix = environment().suffixes.storage
var vaultZone = replace('privatelink${environment().suffixes.keyvaultDns}', '.vault.', '.vaultcore.')
var doors = [
  { name: 'blob', zone: 'privatelink.blob.${suffix}', resourceId: storageId, group: 'blob' }
  { name: 'queue', zone: 'privatelink.queue.${suffix}', resourceId: storageId, group: 'queue' }
  { name: 'table', zone: 'privatelink.table.${suffix}', resourceId: storageId, group: 'table' }
  { name: 'vault', zone: vaultZone, resourceId: vaultId, group: 'vault' }
]

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 0)
          delegations: [
            {
              name: 'flex'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'doors'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 26, 1)
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for door in doors: {
    name: door.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (door, index) in doors: {
    parent: zones[index]
    name: '${name}-${door.name}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2024-07-01' = [
  for door in doors: {
    name: '${name}-${door.name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: '${network.id}/subnets/doors' }
      privateLinkServiceConnections: [
        {
          name: door.name
          properties: {
            privateLinkServiceId: door.resourceId
            groupIds: [door.group]
          }
        }
      ]
    }
  }
]

resource zoneGroups 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-07-01' = [
  for (door, index) in doors: {
    parent: endpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: door.name
          properties: { privateDnsZoneId: zones[index].id }
        }
      ]
    }
  }
]

output appSubnetId string = '${network.id}/subnets/app'
