// A receiver of Mailgrant's webhooks: verifies each event, drops repeats by webhook-id, stores it, then answers 204.
//
//   dotnet new web -o receiver && cp Receiver.cs receiver/Program.cs && cd receiver
//   WEBHOOK_SECRET=whsec_… FOLDER=events dotnet run --urls http://127.0.0.1:9000
//
// The secret is the `signing_secret` that creating the connection answered with. Needs .NET 8 and no packages.
// Put a proxy with a certificate in front, for Mailgrant calls https.

using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

const int MaxBytes = 8 * 1024 * 1024;
var secret = Environment.GetEnvironmentVariable("WEBHOOK_SECRET")
    ?? throw new InvalidOperationException("Set WEBHOOK_SECRET to the signing_secret of the connection.");
var key = Convert.FromBase64String(secret.StartsWith("whsec_") ? secret["whsec_".Length..] : secret);
var folder = Directory.CreateDirectory(Environment.GetEnvironmentVariable("FOLDER") ?? "events").FullName;

var builder = WebApplication.CreateBuilder(args);
builder.WebHost.ConfigureKestrel(server => server.Limits.MaxRequestBodySize = MaxBytes); // more is answered with 413
var app = builder.Build();

app.MapPost("/{**path}", async (HttpRequest request) =>
{
    using var memory = new MemoryStream();
    await request.Body.CopyToAsync(memory);
    var body = memory.ToArray();
    if (!IsSigned(request.Headers, body)) return Results.Unauthorized();
    var id = request.Headers["webhook-id"].ToString();
    if (!Regex.IsMatch(id, @"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\z")) return Results.BadRequest();
    Console.WriteLine($"{(Store(id, body) ? "stored" : "repeat")} {id}");
    return Results.NoContent(); // any answer but 2xx brings the event again later
});
app.Run();

// Whether the headers hold a signature of the body by our secret that is not old (Standard Webhooks 1).
bool IsSigned(IHeaderDictionary headers, byte[] body)
{
    string id = headers["webhook-id"].ToString(), time = headers["webhook-timestamp"].ToString();
    if (id.Length == 0 || !long.TryParse(time, out var seconds)) return false;
    if (Math.Abs((decimal)DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > 300) return false;
    byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{time}."), .. body];
    var right = HMACSHA256.HashData(key, signed);
    // There is more than one signature while a secret is being changed.
    foreach (var item in headers["webhook-signature"].ToString().Split(' '))
    {
        if (!item.StartsWith("v1,")) continue;
        var given = new byte[64];
        if (Convert.TryFromBase64String(item[3..], given, out var length)
            && CryptographicOperations.FixedTimeEquals(given.AsSpan(0, length), right)) return true;
    }
    return false;
}

// Put the event into the folder, whole or not at all; false where it is there already.
bool Store(string id, byte[] body)
{
    string part = Path.Combine(folder, $".{Guid.NewGuid():N}.part"), final = Path.Combine(folder, $"{id}.json");
    try
    {
        using (var file = new FileStream(part, FileMode.CreateNew))
        {
            file.Write(body);
            file.Flush(flushToDisk: true);
        }
        File.Move(part, final, overwrite: false);
        return true;
    }
    catch (IOException) when (File.Exists(final))
    {
        return false;
    }
    finally
    {
        File.Delete(part);
    }
}
