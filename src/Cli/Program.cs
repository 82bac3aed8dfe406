using Quicksilver.Cli;

return await QsCommand.RunAsync(args, Console.OpenStandardOutput(), Console.Error);
