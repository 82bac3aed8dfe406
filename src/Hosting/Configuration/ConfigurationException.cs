namespace Quicksilver.Hosting;

/// <summary>A setting is wrong. One message: the key, its value, and the fix.</summary>
public sealed class ConfigurationException(string key, string? value, string fix)
    : Exception(value is null ? $"{key} is missing: {fix}" : $"{key} is '{value}': {fix}")
{
    public string Key { get; } = key;
}
