// Easy Auth, without a secret; a module of its own, so that Azure refuses it before anything is made if an id is missing.

@description('Name of the app.')
@minLength(2)
@maxLength(60)
param appName string

@description('The tenant whose people administer.')
@minLength(36)
@maxLength(36)
param adminTenant string

@description('The app registration that people sign in to (ADMIN_CLIENT_ID).')
@minLength(36)
@maxLength(36)
param adminClientId string

@description('Name of the app setting that holds the identity\'s client id, where there would be a client secret.')
param federatedSetting string

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: appName
}

// Everybody may knock: webhooks, consent and health have no sign-in. The app itself asks who comes to its admin routes.
resource easyAuth 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true, runtimeVersion: '~1' }
    globalValidation: {
      requireAuthentication: false
      unauthenticatedClientAction: 'AllowAnonymous'
    }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          openIdIssuer: '${environment().authentication.loginEndpoint}${adminTenant}/v2.0'
          clientId: adminClientId
          clientSecretSettingName: federatedSetting
        }
        validation: { allowedAudiences: [adminClientId, 'api://${adminClientId}'] }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
}
