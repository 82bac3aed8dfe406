return await Quicksilver.Hosting.QuicksilverProcess.RunAsync(args, Console.Out, Console.Error);
