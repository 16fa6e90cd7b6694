// Lines to be pasted elsewhere: how the app is registered in Entra, and how Exchange limits it to chosen mailboxes.

const GRAPH = '00000003-0000-0000-c000-000000000000';

/** The application permissions of Microsoft Graph that Mailgrant needs: id, name, what for. */
export const PERMISSIONS = [
  ['e2a3a72e-5f79-4c64-b1b1-878b674786c9', 'Mail.ReadWrite', 'fetch mail, mark or move it, prepare what is sent'],
  ['b633e1c5-b582-4048-a93e-9f11b44c7e96', 'Mail.Send', 'send mail'],
  ['df021288-bdef-4463-88db-98f22de89214', 'User.Read.All', 'find people and their mailboxes'],
];

/** Register the app with the Azure CLI. */
export const azRegister = (redirectUri) => `APP_ID=$(az ad app create --display-name Mailgrant \\
  --sign-in-audience AzureADMultipleOrgs \\
  --web-redirect-uris '${redirectUri}' \\
  --required-resource-accesses '[{"resourceAppId": "${GRAPH}", "resourceAccess": [
${PERMISSIONS.map(([id]) => `    {"id": "${id}", "type": "Role"}`).join(',\n')}]}]' \\
  --query appId --output tsv)
az ad app update --id "$APP_ID" --set groupMembershipClaims=DirectoryRole
az ad app credential reset --id "$APP_ID" --display-name mailgrant --years 1 --append --query password --output tsv
echo "Client ID: $APP_ID"`;

/** Register the app with Microsoft Graph PowerShell. */
export const powershellRegister = (redirectUri) => `Connect-MgGraph -Scopes 'Application.ReadWrite.All'
$app = New-MgApplication -DisplayName 'Mailgrant' -SignInAudience 'AzureADMultipleOrgs' \`
  -Web @{ RedirectUris = @('${redirectUri}') } -GroupMembershipClaims 'DirectoryRole' \`
  -RequiredResourceAccess @(@{ ResourceAppId = '${GRAPH}'; ResourceAccess = @(
${PERMISSIONS.map(([id]) => `    @{ Id = '${id}'; Type = 'Role' }`).join('\n')}) })
$secret = Add-MgApplicationPassword -ApplicationId $app.Id \`
  -PasswordCredential @{ DisplayName = 'mailgrant'; EndDateTime = (Get-Date).AddYears(1) }
"Client ID:     $($app.AppId)"
"Client secret: $($secret.SecretText)"
"It ends:       $($secret.EndDateTime)"`;

/** Let Exchange admit the app to the members of a group only. */
export const scopeMailboxes = (clientId = 'CLIENT_ID') => `Connect-MgGraph -Scopes 'Application.Read.All'
$sp = Get-MgServicePrincipal -Filter "appId eq '${clientId}'"
Connect-ExchangeOnline
New-ServicePrincipal -AppId $sp.AppId -ObjectId $sp.Id -DisplayName 'Mailgrant'
$group = (Get-Group 'NAME_OF_A_GROUP_OF_THE_MAILBOXES').DistinguishedName
New-ManagementScope -Name 'Mailgrant mailboxes' -RecipientRestrictionFilter "MemberOfGroup -eq '$group'"
New-ManagementRoleAssignment -App $sp.Id -Role 'Application Mail.ReadWrite' -CustomResourceScope 'Mailgrant mailboxes'
New-ManagementRoleAssignment -App $sp.Id -Role 'Application Mail.Send' -CustomResourceScope 'Mailgrant mailboxes'
Test-ServicePrincipalAuthorization -Identity $sp.Id -Resource 'A_MAILBOX_OF_THE_GROUP@example.com'`;

/** Take the rights for all mailboxes away, so that only those that Exchange gives are left. */
export const removeTenantWide = (clientId = 'CLIENT_ID') => `Connect-MgGraph -Scopes 'Application.Read.All', 'AppRoleAssignment.ReadWrite.All'
$sp = Get-MgServicePrincipal -Filter "appId eq '${clientId}'"
Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $sp.Id -All |
  Where-Object AppRoleId -in '${PERMISSIONS[0][0]}', '${PERMISSIONS[1][0]}' |
  ForEach-Object { Remove-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $sp.Id -AppRoleAssignmentId $_.Id }`;
