using System.Reflection;
using System.Text;
using Orleans;
using Quicksilver.Contracts;
using Quicksilver.Grains;
using Quicksilver.Model;
using Quicksilver.Testing;

namespace Quicksilver.Architecture.Tests;

/// <summary>
/// Goal: the wire contract changes only on purpose. Method: everything Orleans puts on the wire, written out by reflection and
/// compared with the committed manifest. After an intended change run the test with QS_WRITE_GOLDEN=1 and commit the manifest
/// together with what changed; removing or renumbering a line breaks clients and regions that run the version before.
/// </summary>
public sealed class ContractManifestTests
{
    private static readonly Assembly[] Assemblies = [typeof(IExternalContract).Assembly, typeof(Revision).Assembly, typeof(NodeContext).Assembly];

    [Fact]
    public void The_contract_is_the_one_in_the_manifest()
    {
        var path = Repository.PathOf("src", "Contracts", "contract-manifest.txt");
        var actual = Describe();
        if (Environment.GetEnvironmentVariable("QS_WRITE_GOLDEN") == "1")
        {
            File.WriteAllText(path, actual);
        }

        Assert.Equal(File.ReadAllText(path), actual);
    }

    [Fact]
    public void Everything_on_the_wire_has_an_alias_of_its_own()
    {
        var aliases = WireTypes().Select(type => type.GetCustomAttribute<AliasAttribute>()?.Alias).ToList();
        Assert.DoesNotContain(null, aliases);
        Assert.Equal(aliases.Count, aliases.Distinct().Count());
        Assert.All(aliases, alias => Assert.StartsWith("qs.", alias, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_grain_method_has_an_alias_and_a_token_that_comes_last()
    {
        foreach (var method in GrainInterfaces().SelectMany(type => type.GetMethods().Where(method => !method.IsStatic)))
        {
            Assert.NotNull(method.GetCustomAttribute<AliasAttribute>());
            var tokens = method.GetParameters().Where(parameter => parameter.ParameterType == typeof(CancellationToken)).ToList();
            Assert.All(tokens, token => Assert.Equal(method.GetParameters().Length - 1, token.Position));
        }
    }

    private static IEnumerable<Type> GrainInterfaces() => Assemblies.SelectMany(assembly => assembly.GetExportedTypes())
        .Where(type => type.IsInterface && typeof(IAddressable).IsAssignableFrom(type))
        .OrderBy(type => type.FullName, StringComparer.Ordinal);

    private static IEnumerable<Type> Records() => Assemblies.SelectMany(assembly => assembly.GetExportedTypes())
        .Where(type => type.GetCustomAttribute<GenerateSerializerAttribute>() is not null)
        .OrderBy(type => type.FullName, StringComparer.Ordinal);

    private static IEnumerable<Type> WireTypes() => GrainInterfaces().Concat(Records());

    private static string Describe()
    {
        var text = new StringBuilder("# What crosses a process boundary. Lines are added, never changed or removed.\n");
        foreach (var type in GrainInterfaces())
        {
            text.Append('\n').Append("grain ").Append(AliasOf(type)).Append(" (").Append(type.Name).Append(")\n");
            foreach (var method in type.GetMethods().Where(method => !method.IsStatic).OrderBy(AliasOf, StringComparer.Ordinal))
            {
                text.Append("  ").Append(AliasOf(method)).Append('(')
                    .AppendJoin(", ", method.GetParameters().Select(parameter => NameOf(parameter.ParameterType))).Append(") -> ")
                    .Append(NameOf(method.ReturnType)).Append('\n');
            }
        }

        foreach (var type in Records())
        {
            text.Append('\n').Append("record ").Append(AliasOf(type)).Append(" (").Append(type.Name).Append(")\n");
            foreach (var (id, name, memberType) in Members(type))
            {
                text.Append("  ").Append(id).Append(' ').Append(name).Append(": ").Append(NameOf(memberType)).Append('\n');
            }
        }

        foreach (var type in Assemblies.SelectMany(assembly => assembly.GetExportedTypes()).Where(type => type.IsEnum).OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            text.Append('\n').Append("enum ").Append(type.Name).Append(" : ").Append(Enum.GetUnderlyingType(type).Name).Append('\n');
            foreach (var value in Enum.GetValues(type))
            {
                text.Append("  ").Append(Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture)).Append(' ').Append(value).Append('\n');
            }
        }

        return text.ToString();
    }

    private static IEnumerable<(uint Id, string Name, Type Type)> Members(Type type)
    {
        const BindingFlags All = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        var properties = type.GetProperties(All).Select(member => (member.GetCustomAttribute<IdAttribute>(), member.Name, member.PropertyType));
        var fields = type.GetFields(All).Select(member => (member.GetCustomAttribute<IdAttribute>(), member.Name, member.FieldType));
        return properties.Concat(fields)
            .Where(member => member.Item1 is not null && !member.Name.StartsWith('<'))
            .Select(member => (member.Item1!.Id, member.Name, member.Item3))
            .OrderBy(member => member.Id);
    }

    private static string AliasOf(MemberInfo member) => member.GetCustomAttribute<AliasAttribute>()?.Alias ?? member.Name;

    private static string NameOf(Type type) => type.IsGenericType
        ? $"{type.Name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(NameOf))}>"
        : type.Name;
}
