// One page in the portal: is it alive, what came in and went out, what failed.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the workspace.')
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'mailgrant-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Mailgrant'
    category: 'workbook'
    version: '1.0'
    sourceId: workspaceId
    serializedData: replace(loadTextContent('../workbook.json'), '<workspace>', workspaceId)
  }
}
