// How an app proves itself, as fields of a form: a secret, a certificate, or a managed identity.

/** The fields that follow from the auth method; *first* is the method that is chosen at first. */
export const proofFields = (first = 'secret') => [
  { name: 'auth_method', label: 'The app proves itself by', type: 'select', value: first, required: true, options: [
    ['secret', 'a client secret'], ['certificate', 'a certificate'], ['federated', 'a managed identity (nothing expires)']] },
  { name: 'client_secret', label: 'Client secret', type: 'password', required: true, autocomplete: 'off',
    hint: 'The column Value in Entra, not the Secret ID.', show: (now) => now.auth_method === 'secret' },
  { name: 'secret_expires_at', label: 'It expires', type: 'moment', hint: 'No API tells it. Typed in, you are warned in time.',
    show: (now) => now.auth_method === 'secret' },
  { name: 'certificate', label: 'Certificate with its private key', type: 'textarea', required: true, rows: 8,
    hint: 'PEM, or a PFX file in base64.', show: (now) => now.auth_method === 'certificate' },
  { name: 'certificate_passphrase', label: 'Passphrase of the certificate', type: 'password', autocomplete: 'off',
    show: (now) => now.auth_method === 'certificate' },
  { name: 'managed_identity_client_id', label: 'Client ID of the managed identity', required: true,
    hint: 'User-assigned to this function app, and named by a federated credential of the registration.',
    show: (now) => now.auth_method === 'federated' },
];
